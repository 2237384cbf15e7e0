"""The pace: for how many local steps a node holds a stream."""

from __future__ import annotations

from dataclasses import dataclass

from flwr_digest.core.config import NodeConfig
from flwr_digest.core.walk import Walk


@dataclass(kw_only=True, slots=True)
class Pace:
    """How many local steps a node has yet to make before a stream may leave it.

    The pace holds a stream once on each tour, where the tour ends. Held at each node, all tours
    would be as slow as the slowest of them (measured: with unequal speeds, seven times as long). On
    a random walk there are no tours: there it holds at each node, and the walk may choose to stay.
    A node that is much slower than the others holds it no longer than they would: see `Usual`.

    Attributes
    ----------
    config : NodeConfig
        Tells the pace and the walk.
    holds : bool
        Whether it holds the stream: it is about to begin a tour, or on a random walk.
    steps_when_left : int
        The node's local steps of this session when the stream last left.
    stays : int
        How often a random walk has chosen to stay since then.
    stay_until_steps : int
        After how many local steps of this session it chooses again.
    """

    config: NodeConfig
    holds: bool = True
    steps_when_left: int = 0
    stays: int = 0
    stay_until_steps: int = 0

    def arrived(self) -> None:
        """Note that the stream has come, from another node and so in the middle of a tour."""
        self.holds = self.config.walk is not Walk.TOUR

    def tour_begins(self) -> None:
        """Note that the stream begins a tour here."""
        self.holds = True

    def stay(self, steps: int) -> None:
        """Follow a random walk that has chosen to stay: for one more local step."""
        self.stays += 1
        self.stay_until_steps = steps + 1

    def left(self, steps: int) -> None:
        """Note that the stream leaves, after so many local steps of this session."""
        self.steps_when_left = steps
        self.stays = 0

    def missing_steps(self, steps: int) -> int:
        """Return how many more local steps it takes until the stream may leave; 0 or less: none."""
        pace = self.config.local_steps if self.holds else 0
        return max(self.steps_when_left + pace, self.stay_until_steps) - steps

    def steps_until_kept(self, steps: int) -> int:
        """Return how many more local steps the pace asks for; 0 or less: none."""
        return self.steps_when_left + self.config.local_steps - steps

    def is_kept(self, steps: int) -> bool:
        """Whether the node has made the pace's local steps since the stream left."""
        return self.steps_until_kept(steps) <= 0
