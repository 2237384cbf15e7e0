"""How a stream's session ends at a node: by the last tour, by word of it, or for want of links."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flwr_digest.core.departure import Departure
from flwr_digest.core.effects import Effect, Send, StreamClosed
from flwr_digest.core.ids import NO_FENCE, NodeId, Order
from flwr_digest.core.kept import KeptCopy
from flwr_digest.core.messages import Close
from flwr_digest.core.timers import Timers
from flwr_digest.core.visits import Visits

NONE_YET = Order(NO_FENCE, 0)


@dataclass(kw_only=True, slots=True)
class Ending:
    """Whether the session is over for the stream, and who was told.

    Attributes
    ----------
    copy, visits, departure, timers
        The station's.
    closed : bool
        Whether it is over here.
    gave_up : bool
        Whether that was for want of links, and not by a last tour.
    heard : Close or None
        That the others have ended, while this node still trains.
    by : Order
        The copy whose last tour it was, as far as this node was told: newer perhaps than its own.
    """

    copy: KeptCopy
    visits: Visits
    departure: Departure
    timers: Timers
    closed: bool = False
    gave_up: bool = False
    heard: Close | None = None
    by: Order = NONE_YET

    @property
    def message(self) -> Close:
        """What to tell others of the end."""
        order = max(self.by, self.copy.stream.order)  # else those who know more would not believe
        return Close(stream_id=self.copy.stream.stream_id, order=order)

    def reopen(self) -> None:
        """Forget the end: what closed the session here was a copy older than one that came."""
        self.closed = self.gave_up = False
        self.heard = None

    def withdraw(self) -> bool:
        """Take giving up back, now that there is a link; return whether there was need to."""
        if not self.gave_up:
            return False
        self.closed = self.gave_up = False
        return True

    def comes_with(self, close: Close) -> bool:
        """Return whether the session ends with a word to close; if not yet, keep it in mind."""
        if close.order.fence < self.copy.highest:
            return False  # a newer copy is about, and will close the session itself
        if not self.visits.finished:
            self.heard = close
            return False
        self.by = close.order
        return True

    def give_up(self) -> list[Effect]:
        """Close alone. Others that come within reach after all know nothing of an end."""
        self.gave_up = True
        return self.close(())

    def close(self, others: Iterable[NodeId]) -> list[Effect]:
        """End the session here, and tell others; nothing where that was done."""
        if self.closed:
            return []
        self.closed = True
        self.departure.outbound = None
        stream_id, shard = self.visits.stream_id, self.visits.shard
        if shard is not None and not self.gave_up:
            shard.ended(stream_id)
        # Whoever is no member, and only passes it on, has no session of its own to end.
        member = self.visits.config.node_id in self.visits.members
        return [
            *self.timers.cancel_all(),
            *(Send(peer=peer, message=self.message) for peer in sorted(others)),
            *([StreamClosed(stream_id=stream_id)] if member else []),
        ]
