"""Receipts that come late: they tell that the waits are too short.

Who sends a copy again no longer knows which of the two a receipt is for, and learns nothing from it
(Karn's rule). But where all take longer than the wait, each copy is sent again or another way, and
a node would never learn: with links a hundred times slower than believed, sessions hung, and sent
copies by the hundred thousand (seen in simulation). So late receipts are looked at, too: of a copy
that was sent once each is exact; of one that was sent again the second tells that the first was not
lost, and so how long it took.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flwr_digest.core.ids import NodeId, Order

MOST_OVERDUE = 128
"""Copies that are remembered. Dozens were under way over slow and busy links (simulated)."""


@dataclass(kw_only=True, slots=True)
class _Attempt:
    """A copy that was sent, when first, and after how many seconds its first receipt came."""

    sent_at: float
    again: bool = False
    answered_after: float | None = None


@dataclass(kw_only=True, slots=True)
class Overdue:
    """Knows which copies were not acknowledged in time, and learns when they are after all."""

    _attempts: dict[tuple[NodeId, Order], _Attempt] = field(default_factory=dict)

    def note(self, peer: NodeId, order: Order, sent_at: float, *, again: bool) -> None:
        """Note that a copy was sent in vain, so far; `again`: that it is sent there once more."""
        attempt = self._attempts.setdefault((peer, order), _Attempt(sent_at=sent_at))
        attempt.again = attempt.again or again
        while len(self._attempts) > MOST_OVERDUE:
            del self._attempts[next(iter(self._attempts))]

    def answered(self, peer: NodeId, order: Order, now: float) -> float | None:
        """Return how long a receipt has taken that comes now, in seconds; None if not known."""
        attempt = self._attempts.get((peer, order))
        if attempt is None:
            return None
        if attempt.answered_after is None:
            attempt.answered_after = now - attempt.sent_at
            if attempt.again:
                return None
        del self._attempts[peer, order]
        return attempt.answered_after
