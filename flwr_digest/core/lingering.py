"""How long a stream lingers where only other regions can still bring news: ever longer in vain.

Nobody there trains any more, so the pace holds no stream; it would race from node to node. What it
waits for may come to another gateway of the region, and to none for as long as a slow region takes.
So each tour that has told nothing new makes the next wait twice as long: whatever comes at last is
late by no more than about the time that nothing came.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flwr_digest.core.ids import NodeId
from flwr_digest.core.patience import MOST_BACKOFF, Grace
from flwr_digest.core.stream import Stream


@dataclass(kw_only=True, slots=True)
class Lingering:
    """Grants a stream that stays a wait, and longer ones where it comes back as it was.

    Attributes
    ----------
    grace : Grace
        The wait of this stay.
    factor : int
        How many times as long as the first it is.
    told : tuple of int and frozenset of NodeId, or None
        What the stream had taken in when it lingered last, and who had finished; None before.
    """

    grace: Grace = field(default_factory=Grace)
    factor: int = 1
    told: tuple[int, frozenset[NodeId]] | None = None

    def until(self, stream: Stream, now: float, seconds: float) -> float | None:
        """Return until when the stream lingers, the first time for `seconds`; None: no longer."""
        if self.grace.until is None:
            told = stream.changes, stream.finished
            self.factor = min(2 * self.factor, MOST_BACKOFF) if told == self.told else 1
            self.told = told
        return self.grace.begun(now, seconds * self.factor)

    def end(self, now: float) -> None:
        """Let the stream go: others shall know its news soon."""
        self.grace.end(now)

    def renew(self) -> None:
        """Note that the stream comes or goes: next time it may linger again."""
        self.grace.renew()
