"""The search for a stream that has left and does not come back.

wait for it ──not seen for several tours──> ask the neighbors ──> re-issue the kept copy,
    ^                                              │                unless one is known to be newer
    └────────────────── wait longer <──────────────┘
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flwr_digest.core.decision import Decision, Then, wait
from flwr_digest.core.effects import AwaitSteps, Effect, Send, SetTimer
from flwr_digest.core.events import TimerKind
from flwr_digest.core.ids import NodeId, Order
from flwr_digest.core.kept import KeptCopy
from flwr_digest.core.messages import Inquiry, Sighting
from flwr_digest.core.pace import Pace
from flwr_digest.core.patience import Delays
from flwr_digest.core.state import Counters
from flwr_digest.core.timers import Timers
from flwr_digest.core.visits import Visits


@dataclass(kw_only=True, slots=True)
class Search:
    """Knows how long the stream has been away, and what the neighbors say of it.

    Attributes
    ----------
    copy, visits, pace, delays, timers
        The station's.
    counters : Counters
        The station's.
    left_at : float or None
        When the stream last left, by the driver's clock; None before.
    toured_from : float or None
        When the stream left after its first visit of a tour; None until it does.
    away_since : float or None
        When it left, or was first awaited; None while it is here.
    answers : dict of NodeId to Order
        What the neighbors keep, since they were asked.
    """

    copy: KeptCopy
    visits: Visits
    pace: Pace
    delays: Delays
    timers: Timers
    counters: Counters = field(default_factory=Counters)
    left_at: float | None = None
    toured_from: float | None = None
    away_since: float | None = None
    answers: dict[NodeId, Order] = field(default_factory=dict)

    def left(self, now: float) -> None:
        """Note that the stream leaves."""
        self.left_at = self.away_since = now
        if self.toured_from is None or self.copy.stream.tour.seen == {self.copy.node_id}:
            self.toured_from = now

    def came_back(self, now: float, *, again: bool = False) -> None:
        """Learn from a stream that has come how long its tours take.

        `again` says that it has been here on this tour: it only passes. A stream that goes back and
        forth between two ends of the network passes soon, and then stays away for long; whoever
        took that for a tour would issue it again each time before it gets there (seen in
        simulation: for ever).
        """
        self.silence_ends(now)
        if self.toured_from is not None and not again:
            self.delays.tour = self.delays.tour.observed(now - self.toured_from)
            self.toured_from = None

    def silence_ends(self, now: float) -> None:
        """Note for how long the stream was away, at a node that awaits it."""
        if self.visits.shard is not None:
            seconds, counters = self.away_seconds(now), self.counters
            tours = self.in_tours(seconds)
            counters.longest_silence_seconds = max(counters.longest_silence_seconds, seconds)
            counters.longest_silence_tours = max(counters.longest_silence_tours, tours)
        self.away_since = None

    def away_seconds(self, now: float) -> float:
        """Return for how long the stream has been away; 0 while it is here."""
        return 0.0 if self.away_since is None else now - self.away_since

    def in_tours(self, seconds: float) -> float:
        """Return how many of the stream's tours a time is; 0 where none was measured."""
        tour_seconds = self.delays.tour.smoothed_seconds
        return seconds / tour_seconds if tour_seconds else 0.0

    def wait(self, now: float) -> SetTimer:
        """Return the timer that fires when the stream has stayed away for too long."""
        if self.away_since is None:
            self.away_since = now
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
        if not live:
            return Decision(then=Then.AWAIT)
        if self._still_on_first_tour():
            # Nobody hands in steps for a stream that never comes: else this would not end.
            missing_steps = self.pace.steps_until_kept(self.visits.steps)
            steps = AwaitSteps(stream_id=self.visits.stream_id, more_steps=missing_steps)
            return Decision(then=Then.AWAIT, effects=(steps,))
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
