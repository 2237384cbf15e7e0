"""A copy on its way to the next node: the receipt that it awaits, and what is done without one.

send ──> await the receipt ──none in time──> send again, twice as patient ──in vain──> another way

A copy that goes another way has a raised fence: should both ways have led on, one copy counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flwr_digest.core.config import NodeConfig
from flwr_digest.core.decision import Decision, Then, wait
from flwr_digest.core.effects import Effect, Notice, NoticeKind, Send
from flwr_digest.core.events import TimerKind
from flwr_digest.core.ids import NodeId
from flwr_digest.core.kept import KeptCopy
from flwr_digest.core.messages import Hop, Receipt
from flwr_digest.core.overdue import Overdue
from flwr_digest.core.patience import Delays
from flwr_digest.core.route import noted, onward
from flwr_digest.core.silence import Silence
from flwr_digest.core.state import Counters
from flwr_digest.core.stream import Tour
from flwr_digest.core.timers import Timers
from flwr_digest.core.visits import Visits


@dataclass(frozen=True, kw_only=True, slots=True)
class Outbound:
    """A hop that is not acknowledged yet."""

    peer: NodeId
    attempts: int
    sent_at: float


@dataclass(kw_only=True, slots=True)
class Departure:
    """Sends the kept copy on, and sees to it that it arrives.

    Attributes
    ----------
    config : NodeConfig
        The node's part of the plan.
    copy, visits, delays, timers, counters
        The station's.
    silence : Silence
        The node's.
    overdue : Overdue
        What was not acknowledged in time.
    outbound : Outbound or None
        The hop that awaits its receipt; None where there is none.
    sent_to : NodeId or None
        Who had the stream from here last.
    """

    config: NodeConfig
    copy: KeptCopy
    visits: Visits
    delays: Delays
    timers: Timers
    counters: Counters
    silence: Silence = field(default_factory=Silence)
    overdue: Overdue = field(default_factory=Overdue)
    outbound: Outbound | None = None
    sent_to: NodeId | None = None

    def send(self, peer: NodeId, tour: Tour, now: float) -> list[Effect]:
        """Send the kept copy to a peer, as the next of that tour."""
        self.copy.take_way(tour)
        return self._send(peer, attempts=1, now=now)

    def acknowledged(self, peer: NodeId, receipt: Receipt, now: float) -> bool:
        """Return whether a receipt from `peer` is the one awaited; it is so no longer then."""
        overdue_seconds = self.overdue.answered(peer, receipt.order, now)
        if overdue_seconds is not None:
            self.delays.receipt = self.delays.receipt.too_short(overdue_seconds)
        out = self.outbound
        if out is None or out.peer != peer or receipt.order != self.copy.stream.order:
            return False
        if out.attempts == 1:  # with more, nobody knows which one was acknowledged (Karn)
            self.delays.receipt = self.delays.receipt.observed(now - out.sent_at)
        self.outbound = None
        return True

    def late(self, live: frozenset[NodeId], now: float) -> Decision:
        """Decide what to do about a receipt that has not come, nor will soon."""
        out = self.outbound
        if out is None:
            return wait()
        if self.copy.outranked:  # on its way
            self.outbound = None
            return Decision(then=Then.AWAIT)
        long_ago = now - out.sent_at > self.delays.lost_after_seconds
        if not live and self.visits.trained and long_ago:
            return Decision(then=Then.GIVE_UP)  # no link for so long, and nothing left to do
        return wait(*self._again(out, live, now))

    def link_up(self, peer: NodeId, live: frozenset[NodeId], now: float) -> Decision:
        """Send again what was under way on an old link, or take a stuck copy along."""
        out = self.outbound
        if out is None:
            return wait()
        again = out.peer == peer and out.attempts <= self.config.resends
        if again and not self.copy.outranked:
            return wait(*self._resend(out, now))
        return wait() if out.peer in live - {peer} else self.late(live, now)

    def link_down(self, peer: NodeId, live: frozenset[NodeId], now: float) -> Decision:
        """Take another way at once, where the link was the copy's."""
        out = self.outbound
        return wait() if out is None or out.peer != peer else self.late(live, now)

    def _again(self, out: Outbound, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Send the copy again, or another way; without any link, wait on."""
        # Where one neighbor is silent, the next that does not answer is hardly chance any more.
        resends = 0 if self.silence.anyone else self.config.resends
        if out.peer in live and out.attempts <= resends:
            return self._resend_in_vain(out, now)
        stream, others = self.copy.stream, live - {out.peer}
        others = self.silence.answering(others) or others
        detour = noted(self.config, stream.tour, others)
        peer = onward(self.config, stream, detour, touring=self.visits.trained)
        if peer in (None, self.config.node_id):  # nobody left to see but the one who is silent
            peer = min(others, default=None)
        if peer is not None:
            if out.peer in live:
                self.silence.begins(out.peer, now, self.delays.receipt.wait_seconds)
            self.delays.receipt = self.delays.receipt.anew()  # that was the other's wait
            return self._reroute(peer, detour, now)
        if out.peer in live:
            return self._resend_in_vain(out, now)
        return [self.timers.set(TimerKind.RECEIPT, now + self.delays.receipt.wait_seconds)]

    def _resend_in_vain(self, out: Outbound, now: float) -> list[Effect]:
        """Send again after a wait that was in vain, and wait longer this time."""
        self.delays.receipt = self.delays.receipt.in_vain()
        return self._resend(out, now)

    def _resend(self, out: Outbound, now: float) -> list[Effect]:
        self.overdue.note(out.peer, self.copy.stream.order, out.sent_at, again=True)
        self.counters.resends += 1
        notice = Notice(
            kind=NoticeKind.RESENT,
            stream_id=self.visits.stream_id,
            peer=out.peer,
            seconds=now - out.sent_at,
        )
        return [notice, *self._send(out.peer, out.attempts + 1, now)]

    def _send(self, peer: NodeId, attempts: int, now: float) -> list[Effect]:
        self.outbound = Outbound(peer=peer, attempts=attempts, sent_at=now)
        self.sent_to = peer
        self.counters.hops_sent += 1
        receipt = self.delays.receipt
        # How long the way takes is not known; a receipt takes a little longer: the safe side.
        self.copy.set_clock(now, way_seconds=receipt.smoothed_seconds or 0.0)
        return [
            Send(peer=peer, message=Hop(stream=self.copy.stream)),
            self.timers.set(TimerKind.RECEIPT, now + receipt.wait_seconds),
        ]

    def _reroute(self, peer: NodeId, tour: Tour, now: float) -> list[Effect]:
        self.counters.reroutes += 1
        if (before := self.outbound) is not None:
            self.overdue.note(before.peer, self.copy.stream.order, before.sent_at, again=False)
        self.copy.take_way(tour, raise_fence=True)
        out = self.outbound
        notice = Notice(
            kind=NoticeKind.REROUTED,
            stream_id=self.visits.stream_id,
            peer=peer,
            instead_of=None if out is None else out.peer,
            seconds=0.0 if out is None else now - out.sent_at,
        )
        return [notice, *self._send(peer, attempts=1, now=now)]
