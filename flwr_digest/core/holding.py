"""A stream that is at a node: what holds it there, and where it goes then.

is another copy newer? ──yes──> let it go
          │ no
no link leads to a member? ──yes──> hold it; in the end, give up
          │ no
   steps are missing? ──yes──> hold it: the pace, but not for longer than most others would
          │ no
   news? ──yes──> another visit         ──no, nor soon──> hold it: it lingers
          │
   a member not yet seen? ──yes──> send it there
          │ no
   a tour is complete: begin another, the last, or end the session
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from flwr_digest.core.config import NodeConfig
from flwr_digest.core.decision import Decision, Leave, Then, wait
from flwr_digest.core.effects import AwaitSteps, Effect, SetTimer
from flwr_digest.core.events import TimerKind
from flwr_digest.core.ids import NodeId
from flwr_digest.core.kept import KeptCopy
from flwr_digest.core.lingering import Lingering
from flwr_digest.core.pace import Pace
from flwr_digest.core.patience import Delays, Grace, LastChance
from flwr_digest.core.route import is_alone, noted, onward
from flwr_digest.core.stream import Tour
from flwr_digest.core.timers import Timers
from flwr_digest.core.usual import Usual
from flwr_digest.core.visits import Visits


@dataclass(kw_only=True, slots=True)
class Holding:
    """Decides for how long a stream is held, and where it goes.

    Attributes
    ----------
    config : NodeConfig
        The node's part of the plan.
    copy, visits, delays, timers
        The station's.
    pace : Pace
        For how many local steps the stream is held.
    usual : Usual
        For how long at most, at a slow node.
    alone : Grace
        How long a stream waits for a link, where nothing else is left to do.
    missing : LastChance
        How long the last tour waits for members that cannot be reached.
    lingering : Lingering
        How long a stream waits for news of other regions, where nobody trains any more.
    """

    config: NodeConfig
    copy: KeptCopy
    visits: Visits
    delays: Delays
    timers: Timers
    pace: Pace
    usual: Usual
    alone: Grace = field(default_factory=Grace)
    missing: LastChance = field(default_factory=LastChance)
    lingering: Lingering = field(default_factory=Lingering)

    def arrived(self) -> None:
        """Note that the stream has come."""
        self.pace.arrived()
        self.usual.renew()
        self.alone.renew()
        self.lingering.renew()

    def left(self) -> None:
        """Note that the stream leaves."""
        self.pace.left(self.visits.steps)
        self.alone.renew()
        self.lingering.renew()

    def decide(self, live: frozenset[NodeId], now: float) -> Decision:
        """Say what is to become of the stream now; visits are settled on the way."""
        if self.copy.outranked:
            return Decision(then=Then.AWAIT)
        tour = noted(self.config, self.copy.stream.tour, live)
        if is_alone(self.config, self.visits.stream_id, live):
            return self._alone(now)
        if not self.visits.trained and (paced := self._paced(now)):
            return wait(*paced)
        effects: list[Effect] = []
        if self.visits.has_news(now):
            effects = self.visits.settle(self.copy.stream, now)
            self.lingering.end(now)  # others shall know it soon
        elif lingers := self._lingers(now):
            return wait(lingers)
        return self._onward(tour, live, now).after(effects)

    def _paced(self, now: float) -> list[Effect]:
        """Hold a stream for the pace's local steps; at a slow node for as long as others would."""
        steps = self.visits.steps
        missing_steps = self.pace.missing_steps(steps)
        if missing_steps <= 0:
            return []
        stream_id, seconds = self.visits.stream_id, self.delays.receipt.wait_seconds
        until = self.usual.until(self.copy.stream, steps, seconds, now)
        if until is None:
            return [AwaitSteps(stream_id=stream_id, more_steps=missing_steps)]
        if now >= until:
            return []
        # The next step may show that the node is not slow.
        more_steps = missing_steps if self.usual.keeps_up(steps) else 1
        awaited = AwaitSteps(stream_id=stream_id, more_steps=more_steps)
        return [awaited, self.timers.set(TimerKind.PACE, until)]

    def _alone(self, now: float) -> Decision:
        """Without a link: wait for one; with nothing left to wait for, the session is over."""
        if not self.visits.trained:
            self.alone.renew()
            return wait()
        news = self.visits.has_news(now)
        effects = self.visits.settle(self.copy.stream, now) if news else []
        if len(self.config.topology) > 1:
            until = self.alone.begun(now, self.delays.tour.wait_seconds)
            if until is not None:
                return wait(*effects, self.timers.set(TimerKind.MISSING, until))
        return Decision(then=Then.GIVE_UP, effects=tuple(effects))

    def _lingers(self, now: float) -> SetTimer | None:
        """Hold a stream for a while where only other regions can still bring news."""
        if not self.visits.trained or self.visits.finished:
            return None
        wait_seconds = self.delays.receipt.wait_seconds
        until = self.lingering.until(self.copy.stream, now, wait_seconds)
        return None if until is None else self.timers.set(TimerKind.IDLE, until)

    def _waits_for(self, missing: frozenset[NodeId], now: float) -> SetTimer | None:
        """Give members that could not be reached a last chance, once; None when it is over."""
        until = self.missing.until(missing, now, self.delays.tour.wait_seconds)
        return None if until is None else self.timers.set(TimerKind.MISSING, until)

    def _onward(self, tour: Tour, live: frozenset[NodeId], now: float) -> Decision:
        stays, touring = self.pace.stays, self.visits.trained
        peer = onward(self.config, self.copy.stream, tour, stays=stays, touring=touring)
        while peer == self.config.node_id:  # a random walk has chosen to stay
            self.pace.stay(self.visits.steps)
            if paced := self._paced(now):
                return wait(*paced)
            stays = self.pace.stays
            peer = onward(self.config, self.copy.stream, tour, stays=stays, touring=touring)
        if peer is None:
            return self._tour_completed(live, now)
        return Decision(then=Leave(peer=peer, tour=tour))

    def _tour_completed(self, live: frozenset[NodeId], now: float) -> Decision:
        stream, members = self.copy.stream, self.visits.members
        if self.config.node_id not in members:
            return self._bring_back(live)
        missing = members - stream.tour.seen
        if not missing:
            self.missing.renew()
        # The last tour has to come to all but those that were given up before it began.
        awaited = missing & stream.finished if stream.closing else missing
        if stream.closing and not awaited:
            return Decision(then=Then.CLOSE)
        closing = stream.tour.seen & members <= stream.finished
        if closing and awaited and (waits := self._waits_for(awaited, now)):
            return wait(waits)
        finished = stream.finished - missing if closing else stream.finished
        tour = Tour(seen=frozenset({self.config.node_id}))
        self.copy.stream = replace(stream, tour=tour, closing=closing, finished=finished)
        self.pace.tour_begins()
        return self.decide(live, now)

    def _bring_back(self, live: frozenset[NodeId]) -> Decision:
        """Return the stream from a node that is no member, and found no way on, to the nearest."""
        stream = self.copy.stream
        tour = noted(self.config, replace(stream.tour, seen=frozenset()), live)
        peer = onward(self.config, stream, tour, stays=self.pace.stays, touring=True)
        if peer is None:
            return wait()
        return Decision(then=Leave(peer=peer, tour=tour))
