"""The newest copy of a stream that was at a node, and the fence that decides whether it counts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flwr_digest.core.ids import Fence, NodeId, Order
from flwr_digest.core.messages import Receipt
from flwr_digest.core.stream import Stream, Tour


@dataclass(kw_only=True, slots=True)
class KeptCopy:
    """What a node keeps of a stream: while it is held, the stream itself; then, what has left.

    Attributes
    ----------
    node_id : NodeId
        The node that keeps it.
    stream : Stream
        The copy.
    highest : Fence
        The highest fence that the node has heard of; a copy below it is dead.
    clock_offset : float
        The driver's clock less the stream's, in seconds: nodes share no clock.
    """

    node_id: NodeId
    stream: Stream
    highest: Fence
    clock_offset: float = 0.0

    @property
    def outranked(self) -> bool:
        """Whether another copy, elsewhere, has taken this one's place."""
        return self.stream.fence < self.highest

    @property
    def newest(self) -> Order:
        """The newest copy that this node knows of; of one only heard of, no more than its fence."""
        return max(self.stream.order, Order(self.highest, 0))

    def is_newer_than(self, stream: Stream) -> bool:
        """Whether a copy that comes in is one that was here, or older, or dead."""
        return stream.fence < self.highest or stream.order <= self.stream.order

    def receipt_for(self, stream: Stream) -> Receipt:
        """Return the receipt for a copy that comes in, with the newest that this node knows of."""
        return Receipt(stream_id=stream.stream_id, order=stream.order, newest=self.newest)

    def heard_of(self, fence: Fence) -> None:
        """Note that there is, or was, a copy with that fence."""
        self.highest = max(self.highest, fence)

    def raised_fence(self) -> Fence:
        """Raise the highest fence, for a copy that shall outrank all others."""
        self.highest = Fence(self.highest.generation + 1, self.node_id)
        return self.highest

    def reissued(self) -> Stream:
        """Return the copy as it comes back into the world, above every other."""
        return replace(self.stream, fence=self.raised_fence(), tour=Tour(), closing=False)

    def take_way(self, tour: Tour, *, raise_fence: bool = False) -> None:
        """Note on which tour the copy leaves: another one than it has left on outranks that."""
        fence = self.raised_fence() if raise_fence else self.stream.fence
        self.stream = replace(self.stream, fence=fence, tour=tour)

    def follow_clock(self, stream: Stream, now: float) -> None:
        """Note what a copy's own clock shows at `now`."""
        self.clock_offset = now - stream.clock_seconds

    def set_clock(self, now: float, way_seconds: float) -> None:
        """Let the copy's own clock show what it will be when it arrives."""
        self.stream = replace(self.stream, clock_seconds=now - self.clock_offset + way_seconds)
