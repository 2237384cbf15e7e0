"""What a node wants done. A driver carries these out in the order in which they are returned."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from flwr_digest.core.events import Timer
from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.core.messages import Message
from flwr_digest.core.vector import Vector


@dataclass(frozen=True, kw_only=True, slots=True)
class Send:
    """Send `message` over the link to `peer`; if the link is gone, drop it."""

    peer: NodeId
    message: Message


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebase:
    """Go on training a shard from `model`, shape ``[d]``: the stream's model after a visit.

    It contains all local steps that were handed in; those made since stay on top of it. With drift
    correction each local step from now on adds `correction` to its gradient: what all nodes'
    gradients are on the average, less this node's own. None: no correction is known yet.
    """

    shard: ShardId
    model: Vector
    correction: Vector | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AwaitSteps:
    """Hand in `LocalSteps` once the node has made that many more: the pace holds a stream."""

    stream_id: StreamId
    more_steps: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SetTimer:
    """Hand in `TimerFired(timer)` at time `at` (same clock as `now`, seconds); replaces the old."""

    timer: Timer
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelTimer:
    """Forget the timer, if it is set."""

    timer: Timer


class NoticeKind(Enum):
    """What is worth a line in the log."""

    RESENT = "sent again, no receipt"
    REROUTED = "sent another way, no receipt"
    REISSUED = "re-issued, not seen for too long"
    FORFEITED = "steps given up, the copy was older than the history"
    REPLACED = "a copy older than a gateway's history was replaced by the gateway's own"
    HISTORY_LOST = "gateways replace each other's copies: only relayed until the next plan"


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """Something went wrong and was dealt with: one line for the log.

    Attributes
    ----------
    kind : NoticeKind
        What was done.
    stream_id : StreamId
        The stream.
    peer : NodeId or None
        Whom it was sent to.
    instead_of : NodeId or None
        Who had it in vain, where another way was taken.
    seconds : float
        For how long a receipt, or the stream, had been awaited.
    tours : float
        How many of the stream's tours that is; 0 where none was measured.
    hop : int
        Of the copy that was re-issued.
    steps : int
        How many local steps were given up.
    """

    kind: NoticeKind
    stream_id: StreamId
    peer: NodeId | None = None
    instead_of: NodeId | None = None
    seconds: float = 0.0
    tours: float = 0.0
    hop: int = 0
    steps: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamClosed:
    """The last tour of a stream that visits this node is over; when all are, it may leave."""

    stream_id: StreamId


Effect = Send | Rebase | AwaitSteps | SetTimer | CancelTimer | Notice | StreamClosed
