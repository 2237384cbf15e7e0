"""What can happen to a node. A driver turns its world into these and hands them in, with `now`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.core.messages import Message
from flwr_digest.core.vector import Vector


class TimerKind(Enum):
    """What a timer waits for."""

    RECEIPT = "receipt"  # a hop to be acknowledged
    LOST = "lost"  # a stream to come by again
    ANSWERS = "answers"  # the neighbors to answer an inquiry
    IDLE = "idle"  # news for a stream, where nobody trains any more
    PACE = "pace"  # a node that is much slower than the others to make the pace's local steps
    MISSING = "missing"  # members that cannot be reached to come back, before the last tour


class Timer(NamedTuple):
    """Names one timer of one stream; setting it again replaces it."""

    kind: TimerKind
    stream_id: StreamId


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionStarted:
    """The node takes part from now on. The first event of a session."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalSteps:
    """The node has trained: `steps` local steps moved a shard of its model by `displacement`.

    A driver may hand in steps one by one or together, but hands in those that were made before a
    `Hop` of a shard arrived before that hop: what comes later stays on top of the stream's model.

    Attributes
    ----------
    shard : ShardId
        Which slice of the model.
    steps : int
        How many local steps.
    displacement : Vector
        By how much they moved it together, shape ``[d]``.
    gradients : Vector or None
        With drift correction: the sum of the steps' own gradients, before any correction, ``[d]``.
    """

    shard: ShardId
    steps: int
    displacement: Vector
    gradients: Vector | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingFinished:
    """The node will make no more local steps in this session; it goes on relaying streams."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageReceived:
    """A message has come in over the link from `peer`."""

    peer: NodeId
    message: Message


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkUp:
    """The link to `peer` can carry messages."""

    peer: NodeId


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkDown:
    """The link to `peer` is gone, with whatever was under way on it."""

    peer: NodeId


@dataclass(frozen=True, kw_only=True, slots=True)
class TimerFired:
    """A timer that was set has come due."""

    timer: Timer


Event = (
    SessionStarted
    | LocalSteps
    | TrainingFinished
    | MessageReceived
    | LinkUp
    | LinkDown
    | TimerFired
)
