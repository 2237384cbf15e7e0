"""The search for a stream that has left and does not come back.

wait for it ──not seen for several tours──> ask the neighbors ──> re-issue the kept copy,
    ^                                              │                unless one is known to be newer
    └────────────────── wait longer <──────────────┘
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flwr_digest.core.decision import Decision, Then, wait
from flwr_digest.core.effects import Effect, Send, SetTimer
from flwr_digest.core.events import TimerKind
from flwr_digest.core.ids import NodeId, Order
from flwr_digest.core.kept import KeptCopy
from flwr_digest.core.messages import Inquiry, Sighting
from flwr_digest.core.pace import Pace
from flwr_digest.core.patience import Delays
from flwr_digest.core.timers import Timers
from flwr_digest.core.visits import Visits


@dataclass(kw_only=True, slots=True)
class Search:
    """Knows how long the stream has been away, and what the neighbors say of it.

    Attributes
    ----------
    copy, visits, pace, delays, timers
        The station's.
    left_at : float or None
        When the stream last left, by the driver's clock; None before.
    answers : dict of NodeId to Order
        What the neighbors keep, since they were asked.
    """

    copy: KeptCopy
    visits: Visits
    pace: Pace
    delays: Delays
    timers: Timers
    left_at: float | None = None
    answers: dict[NodeId, Order] = field(default_factory=dict)

    def left(self, now: float) -> None:
        """Note that the stream leaves."""
        self.left_at = now

    def came_back(self, now: float) -> None:
        """Learn from a stream that has come how long its tours take."""
        if self.left_at is not None:
            self.delays.tour = self.delays.tour.observed(now - self.left_at)

    def wait(self, now: float) -> SetTimer:
        """Return the timer that fires when the stream has stayed away for too long."""
        return self.timers.set(TimerKind.LOST, now + self.delays.lost_after_seconds)

    def wait_less(self, now: float) -> SetTimer:
        """Return the same timer, where there is reason to believe that the stream is lost."""
        return self.timers.set(TimerKind.LOST, now + self.delays.receipt.wait_seconds)

    def late(self, live: frozenset[NodeId], now: float) -> Decision:
        """Decide what to do about a stream that has not come for too long: ask for it."""
        if self.visits.shard is None:
            return wait()  # whoever is no member has nothing to miss
        if not live and self.visits.trained:
            return Decision(then=Then.GIVE_UP)  # no link for so long, and nothing left to do
        if not live or self._still_on_first_tour():
            return Decision(then=Then.AWAIT)
        return wait(*self._ask(live, now))

    def answered(self, peer: NodeId, sighting: Sighting) -> None:
        """Note what a neighbor keeps."""
        self.answers[peer] = sighting.newest
        self.copy.heard_of(sighting.newest.fence)

    def answers_are_in(self, live: frozenset[NodeId]) -> Decision:
        """Decide by the answers whether the kept copy takes the stream's place."""
        self.delays.tour = self.delays.tour.in_vain()
        kept = self.copy.stream
        newer_known = any(newest > kept.order for newest in self.answers.values())
        # Silence proves nothing, a busy neighbor is silent too. And who was never visited keeps
        # only the initial model: it would undo everything, so all its neighbors must have spoken.
        heard = bool(self.answers) and (kept.hop > 0 or set(self.answers) >= live)
        if newer_known or not heard:
            return Decision(then=Then.AWAIT)  # whoever has the newer copy will see to it
        return Decision(then=Then.REISSUE)

    def _still_on_first_tour(self) -> bool:
        """Whether the pace alone explains that the stream has not come: nobody is done with it."""
        paced = not self.pace.is_kept(self.visits.steps)
        return self.left_at is None and paced and not self.visits.trained

    def _ask(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Ask all neighbors what they keep, and wait for the answers."""
        self.answers = {}
        inquiry = Inquiry(stream_id=self.visits.stream_id)
        return [
            *(Send(peer=peer, message=inquiry) for peer in sorted(live)),
            self.timers.set(TimerKind.ANSWERS, now + self.delays.receipt.wait_seconds),
        ]
