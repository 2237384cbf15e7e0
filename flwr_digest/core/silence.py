"""Neighbors that a live link leads to and that do not answer: streams go round them.

A cable that was pulled, or a process that stands still, breaks no link for a while. Whoever has
sent a copy there in vain remembers it, for all streams: else each tour would wait there anew, and
those that can be reached would learn next to nothing (measured: 5 nodes of 8 and the 3 others,
parted by pulled cables, learned from each other only after 40 to 70 tours). It asks, ever more
seldom, and the first word from there ends it: an answer, a late receipt, or a new link.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flwr_digest.core.ids import NodeId

MOST_FACTOR = 64  # as `MOST_BACKOFF`: past that, asking more seldom spares nothing any more


@dataclass(kw_only=True, slots=True)
class _Question:
    """When a silent neighbor is to be asked next, and how much later after that."""

    at: float
    wait_seconds: float
    longest_seconds: float


@dataclass(kw_only=True, slots=True)
class Silence:
    """Knows who is silent, at one node."""

    _questions: dict[NodeId, _Question] = field(default_factory=dict)

    @property
    def anyone(self) -> bool:
        """Whether there is anyone silent."""
        return bool(self._questions)

    def answering(self, live: frozenset[NodeId]) -> frozenset[NodeId]:
        """Return those of some neighbors that are not silent."""
        return live - self._questions.keys() if self._questions else live

    def begins(self, peer: NodeId, now: float, wait_seconds: float) -> None:
        """Note that a neighbor does not answer, and wait before it is asked; once is enough."""
        question = _Question(
            at=now + wait_seconds,
            wait_seconds=wait_seconds,
            longest_seconds=wait_seconds * MOST_FACTOR,
        )
        self._questions.setdefault(peer, question)

    def ends(self, peer: NodeId) -> None:
        """Note that a neighbor was heard, or that there is another link to it, or none."""
        self._questions.pop(peer, None)

    def to_ask(self, now: float) -> list[NodeId]:
        """Return whom to ask now; each will be asked later the next time."""
        due = sorted(peer for peer, question in self._questions.items() if question.at <= now)
        for peer in due:
            question = self._questions[peer]
            question.wait_seconds = min(2 * question.wait_seconds, question.longest_seconds)
            question.at = now + question.wait_seconds
        return due
