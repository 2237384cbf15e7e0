"""One stream at one node: visits, the pace, departures, receipts, and what to do when it is lost.

a hop arrives ──> newer than all seen? ──no──> receipt, drop
                          │ yes
                  receipt, settle accounts, rebase the node
                          │
               held until the pace is kept and a neighbor is there
                          │
          kept copy = what leaves; send; await the receipt
                 │                      │ none in time
         await the stream      send again, then another way (raised fence)
                 │ not seen for several tours
         ask the neighbors ──> nobody knows a newer copy ──> re-issue (raised fence)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from flwr_digest.core.account import contribute, settle
from flwr_digest.core.config import NodeConfig
from flwr_digest.core.effects import (
    AwaitSteps,
    CancelTimer,
    Effect,
    Notice,
    NoticeKind,
    Rebase,
    Send,
    SetTimer,
    StreamClosed,
)
from flwr_digest.core.events import LocalSteps, Timer, TimerKind
from flwr_digest.core.ids import Fence, NodeId, Order, StreamId
from flwr_digest.core.messages import Close, Hop, Inquiry, Message, Receipt, Sighting
from flwr_digest.core.patience import Patience
from flwr_digest.core.state import Counters, Outbound, StationState
from flwr_digest.core.stream import Stream, Tour
from flwr_digest.core.walk import next_hop, note_links, reachable


class Station:
    """The part of a node that deals with one stream.

    `kept` is always the newest copy that was here: while `held`, the stream itself; after that the
    copy that left. With `closed` and `held`, the stream is parked here until the next session.

    Every method that changes something returns the effects to carry out, in order.
    """

    def __init__(self, config: NodeConfig, stream_id: StreamId, state: StationState) -> None:
        self.config = config
        self.stream_id = stream_id
        self.account = state.account
        self.kept = state.kept.for_new_session()
        self.highest = state.highest
        self.held = False  # the stream is here, and leaves when pace and links allow
        self.outbound: Outbound | None = None
        self.closed = False
        self.finished = False
        self.counters = Counters()
        self.receipt_patience = Patience(first_seconds=config.first_receipt_seconds)
        self.tour_patience = Patience(first_seconds=config.first_lost_seconds)
        self._sent_to: NodeId | None = None  # who had the stream from here last
        self._left_at: float | None = None  # when the stream last left; None before
        self._steps_when_left = state.account.steps  # or when the session began
        self._answers: dict[NodeId, Order] = {}
        self._missing_until: float | None = None  # how long the last tour waits for members
        self._close_heard: Close | None = None  # the others have ended; this node still trains
        self._gave_up = False  # closed for want of links, not by a last tour

    @property
    def state(self) -> StationState:
        """What must outlive the session."""
        return StationState(account=self.account, kept=self.kept, highest=self.highest)

    # --- the session ------------------------------------------------------------------------

    def start(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Begin the session: the stream starts here, or is awaited."""
        # Who has only the initial model though there was a stream before has lost its state since
        # the plan was made. To start with it would undo everything, if a neighbor knows more.
        outdated = self.kept.hop == 0 and self.config.generation > 0 and self.config.neighbors
        if self.config.streams[self.stream_id] == self.config.node_id and not outdated:
            self.highest = max(self.highest, Fence(self.config.generation, NodeId(-1)))
            return self._reissue(live, now)
        return [self._await_stream(now)]

    def local_steps(self, event: LocalSteps, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Take in local steps; a stream that the pace held may now leave."""
        self.account = contribute(self.account, event.displacement, event.steps, self.config.weight)
        return self.try_to_leave(live, now)

    def training_finished(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Note that there will be no more local steps; a stream that waits for some may leave."""
        self.finished = True
        if self._close_heard is not None:
            return self._close_arrived(self._close_heard, live)
        return self.try_to_leave(live, now)

    # --- messages ---------------------------------------------------------------------------

    def receive(
        self, peer: NodeId, message: Message, live: frozenset[NodeId], now: float
    ) -> list[Effect]:
        """Deal with a message about this stream from `peer`."""
        match message:
            case Hop(stream=stream):
                return self._hop_arrived(peer, stream, live, now)
            case Receipt():
                return self._receipt_arrived(peer, message, now)
            case Inquiry():
                return [self._send(peer, self._answer())]
            case Sighting(newest=newest):
                self._answers[peer] = newest
                self.highest = max(self.highest, newest.fence)
                return []
            case Close():
                return self._close_arrived(message, live - {peer})

    @property
    def newest(self) -> Order:
        """The newest copy that this node knows of; of one only heard of, no more than its fence."""
        return max(self.kept.order, Order(self.highest, 0))

    def _hop_arrived(
        self, peer: NodeId, stream: Stream, live: frozenset[NodeId], now: float
    ) -> list[Effect]:
        if stream.fence < self.highest or stream.order <= self.kept.order:
            self.counters.stale_drops += 1
            return [self._receipt_for(peer, stream)]
        effects: list[Effect] = [CancelTimer(timer=self._timer(kind)) for kind in TimerKind]
        if self._left_at is not None:
            self.tour_patience = self.tour_patience.observed(now - self._left_at)
        self.outbound = None
        self.closed = self._gave_up = False  # what closed the session here was an older copy
        self._close_heard = None
        self._missing_until = None
        self.highest = stream.fence
        effects += self._visit(stream)
        effects.append(self._receipt_for(peer, stream))
        return effects + self._stay(live, now)

    def _answer(self) -> Message:
        if self.closed:
            return Close(stream_id=self.stream_id, order=self.kept.order)
        return Sighting(stream_id=self.stream_id, newest=self.kept.order)

    def _receipt_for(self, peer: NodeId, stream: Stream) -> Send:
        receipt = Receipt(stream_id=self.stream_id, order=stream.order, newest=self.newest)
        return self._send(peer, receipt)

    def _receipt_arrived(self, peer: NodeId, receipt: Receipt, now: float) -> list[Effect]:
        self.highest = max(self.highest, receipt.newest.fence)
        out = self.outbound
        if out is None or out.peer != peer or receipt.order != self.kept.order:
            return []
        if out.attempts == 1:  # with more, nobody knows which one was acknowledged (Karn)
            self.receipt_patience = self.receipt_patience.observed(now - out.sent_at)
        self.outbound = None
        return [CancelTimer(timer=self._timer(TimerKind.RECEIPT)), self._await_stream(now)]

    # --- a visit ----------------------------------------------------------------------------

    def _visit(self, stream: Stream) -> list[Effect]:
        """Settle accounts with a copy of the stream, keep it, and rebase the node on it."""
        settlement = settle(self.account, stream, self.config.node_id, self.config.topology)
        self.account = settlement.account
        me = {self.config.node_id}
        finished = stream.finished | me if self.finished else stream.finished - me
        tour = replace(stream.tour, seen=stream.tour.seen | me)
        # A last tour that finds something new cannot be the last: those before have not got it.
        closing = stream.closing and not settlement.news and self.finished
        self.kept = replace(settlement.stream, finished=finished, tour=tour, closing=closing)
        self.counters.visits += 1
        self.counters.forfeited_steps += settlement.forfeited_steps
        effects: list[Effect] = []
        if settlement.forfeited_steps:
            effects.append(self._notice(NoticeKind.FORFEITED, steps=settlement.forfeited_steps))
        return [*effects, Rebase(stream_id=self.stream_id, model=self.kept.model)]

    def _stay(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        self.held = True
        return self.try_to_leave(live, now)

    def try_to_leave(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Send the held stream on, if the pace is kept and there is a neighbor to send it to."""
        if not self.held or self.closed:
            return []
        if self.kept.fence < self.highest:  # outranked while it was here
            self.held = False
            return [self._await_stream(now)]
        tour = note_links(self.kept.tour, self.config.node_id, self.config.neighbors, live)
        if len(reachable(self.config.topology, self.config.node_id, tour.dead_links)) == 1:
            return self._wait_alone(live, now)
        goal = self._steps_when_left + self.config.local_steps
        if self.account.steps < goal and not self.finished:
            return [AwaitSteps(stream_id=self.stream_id, steps=goal)]
        effects: list[Effect] = []
        if self._has_news():
            effects += self._visit(self.kept)
        peer = self._choose(tour)
        if peer is None:
            return effects + self._tour_completed(live, now)
        return effects + self._leave(peer, tour, now)

    def _has_news(self) -> bool:
        """Whether the node has trained since, or ended training after, the held copy's visit."""
        visit = self.kept.last_visit(self.config.node_id)
        told = self.config.node_id in self.kept.finished
        return visit.steps < self.account.steps or told != self.finished

    def _tour_completed(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        if self.kept.closing:
            return self._close(live)
        closing = self.kept.tour.seen <= self.kept.finished
        if closing and self.kept.tour.seen < set(self.config.topology):
            effects = self._wait_for_missing(now)
            if effects:
                return effects
        self._missing_until = None
        tour = Tour(seen=frozenset({self.config.node_id}))
        self.kept = replace(self.kept, tour=tour, closing=closing)
        return self.try_to_leave(live, now)

    def _wait_for_missing(self, now: float) -> list[Effect]:
        """Give members that could not be reached a last chance, once; empty when it is over."""
        if self._missing_until is None:
            self._missing_until = now + self.tour_patience.wait_seconds
        if now >= self._missing_until:
            return []
        return [SetTimer(timer=self._timer(TimerKind.MISSING), at=self._missing_until)]

    def _wait_alone(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Without a link: wait for one; with nothing left to wait for, the session is over."""
        if not self.finished:
            self._missing_until = None
            return []
        effects = self._visit(self.kept) if self._has_news() else []
        waiting = self._wait_for_missing(now) if len(self.config.topology) > 1 else []
        return effects + (waiting or self._give_up())

    def _choose(self, tour: Tour) -> NodeId | None:
        key = (self.config.seed, self.stream_id, self.kept.hop)
        return next_hop(self.config.topology, self.config.node_id, tour, key)

    def _leave(self, peer: NodeId, tour: Tour, now: float) -> list[Effect]:
        self.kept = replace(self.kept, tour=tour)
        self.held = False
        self._missing_until = None
        self._left_at = now
        self._steps_when_left = self.account.steps
        return self._send_kept(peer, attempts=1, now=now)

    def _send_kept(self, peer: NodeId, attempts: int, now: float) -> list[Effect]:
        self.outbound = Outbound(peer=peer, attempts=attempts, sent_at=now)
        self._sent_to = peer
        self.counters.hops_sent += 1
        wait = self.receipt_patience.wait_seconds
        return [
            self._send(peer, Hop(stream=self.kept)),
            SetTimer(timer=self._timer(TimerKind.RECEIPT), at=now + wait),
        ]

    # --- when something is late -------------------------------------------------------------

    def timer_fired(self, kind: TimerKind, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Deal with a wait that has ended without what was waited for."""
        if self.closed or self.held != (kind is TimerKind.MISSING):
            return []
        match kind:
            case TimerKind.MISSING:
                return self.try_to_leave(live, now)
            case TimerKind.RECEIPT:
                return self._receipt_is_late(live, now)
            case TimerKind.LOST | TimerKind.ANSWERS if self.outbound is not None:
                return []  # it is not the stream that is late, but a receipt
            case TimerKind.LOST:
                return self._stream_is_late(live, now)
            case TimerKind.ANSWERS:
                return self._answers_are_in(live, now)

    def link_up(self, peer: NodeId, live: frozenset[NodeId], now: float) -> list[Effect]:
        """A link has come: a stream that waited for one can go."""
        if self._gave_up:  # too early
            self.closed = self._gave_up = False
            self._missing_until = None
            return self.try_to_leave(live, now) if self.held else [self._await_stream(now)]
        out = self.outbound
        if out is None:
            return self.try_to_leave(live, now)
        again = out.peer == peer and out.attempts <= self.config.resends
        if again and self.kept.fence == self.highest:
            return self._resend(out, now)  # what was under way on the old link is lost
        return [] if out.peer in live - {peer} else self._receipt_is_late(live, now)

    def link_down(self, peer: NodeId, live: frozenset[NodeId], now: float) -> list[Effect]:
        """A link has gone: with it, perhaps, the stream that was sent over it last."""
        if self.outbound is not None:
            return self._receipt_is_late(live, now) if self.outbound.peer == peer else []
        if self.closed or self.held or self._sent_to != peer:
            return []
        soon = now + self.receipt_patience.wait_seconds
        return [SetTimer(timer=self._timer(TimerKind.LOST), at=soon)]

    def _receipt_is_late(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        out = self.outbound
        if out is None:
            return []
        if self.kept.fence < self.highest:  # outranked on its way
            self.outbound = None
            return [self._await_stream(now)]
        if out.peer in live and out.attempts <= self.config.resends:
            return self._resend_in_vain(out, now)
        detour = note_links(
            self.kept.tour, self.config.node_id, self.config.neighbors, live - {out.peer}
        )
        peer = self._choose(detour)
        if peer is None:  # nobody left to see on this tour but the one who is silent
            peer = min(live - {out.peer}, default=None)
        if peer is not None:
            return self._reroute(peer, detour, now)
        if out.peer in live:
            return self._resend_in_vain(out, now)
        if self.finished and now - out.sent_at > self._lost_after_seconds:
            return self._give_up()  # no link at all for so long, and nothing left to do
        again = now + self.receipt_patience.wait_seconds
        return [SetTimer(timer=self._timer(TimerKind.RECEIPT), at=again)]

    def _resend_in_vain(self, out: Outbound, now: float) -> list[Effect]:
        """Send again after a wait that was in vain, and wait longer this time."""
        self.receipt_patience = self.receipt_patience.in_vain()
        return self._resend(out, now)

    def _resend(self, out: Outbound, now: float) -> list[Effect]:
        self.counters.resends += 1
        notice = self._notice(NoticeKind.RESENT, peer=out.peer)
        return [notice, *self._send_kept(out.peer, out.attempts + 1, now)]

    def _reroute(self, peer: NodeId, tour: Tour, now: float) -> list[Effect]:
        self.counters.reroutes += 1
        self.kept = replace(self.kept, fence=self._raised_fence(), tour=tour)
        return [
            self._notice(NoticeKind.REROUTED, peer=peer),
            *self._send_kept(peer, attempts=1, now=now),
        ]

    @property
    def _lost_after_seconds(self) -> float:
        """How long the stream may stay away."""
        wait = self.tour_patience.wait_seconds
        measured = self.tour_patience.smoothed_seconds is not None
        return wait * self.config.lost_tours if measured else wait

    def _await_stream(self, now: float) -> SetTimer:
        return SetTimer(timer=self._timer(TimerKind.LOST), at=now + self._lost_after_seconds)

    def _stream_is_late(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        if not live and self.finished:
            return self._give_up()  # no link for so long, and nothing left to do
        if not live or self._still_on_first_tour():
            return [self._await_stream(now)]
        self._answers = {}
        wait = self.receipt_patience.wait_seconds
        return [
            *(self._send(peer, Inquiry(stream_id=self.stream_id)) for peer in sorted(live)),
            SetTimer(timer=self._timer(TimerKind.ANSWERS), at=now + wait),
        ]

    def _still_on_first_tour(self) -> bool:
        """Whether the pace alone explains that the stream has not come: nobody is done with it."""
        made = self.account.steps - self._steps_when_left
        return self._left_at is None and not self.finished and made < self.config.local_steps

    def _answers_are_in(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        self.tour_patience = self.tour_patience.in_vain()
        newer_known = any(newest > self.kept.order for newest in self._answers.values())
        # Silence proves nothing, a busy neighbor is silent too. And who was never visited keeps
        # only the initial model: it would undo everything, so all its neighbors must have spoken.
        heard = bool(self._answers) and (self.kept.hop > 0 or set(self._answers) >= live)
        if newer_known or not heard:
            return [self._await_stream(now)]  # whoever has the newer copy will see to it
        self.counters.reissues += 1
        return [self._notice(NoticeKind.REISSUED), *self._reissue(live, now)]

    def _reissue(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Put the kept copy back into the world, above every other copy."""
        copy = replace(self.kept, fence=self._raised_fence(), tour=Tour(), closing=False)
        return self._visit(copy) + self._stay(live, now)

    def _raised_fence(self) -> Fence:
        self.highest = Fence(self.highest.generation + 1, self.config.node_id)
        return self.highest

    # --- small things -----------------------------------------------------------------------

    def _close_arrived(self, close: Close, others: frozenset[NodeId]) -> list[Effect]:
        if close.order.fence < self.highest:
            return []  # a newer copy is about, and will close the session itself
        if not self.finished:
            self._close_heard = close
            return []
        return self._close(others)

    def _give_up(self) -> list[Effect]:
        """Close alone. Others that come within reach after all know nothing of an end."""
        self._gave_up = True
        return self._close(())

    def _close(self, live: Iterable[NodeId]) -> list[Effect]:
        if self.closed:
            return []
        self.closed = True
        self.outbound = None
        close = Close(stream_id=self.stream_id, order=self.kept.order)
        return [
            *(CancelTimer(timer=self._timer(kind)) for kind in TimerKind),
            *(self._send(peer, close) for peer in sorted(live)),
            StreamClosed(stream_id=self.stream_id),
        ]

    def _timer(self, kind: TimerKind) -> Timer:
        return Timer(kind=kind, stream_id=self.stream_id)

    def _send(self, peer: NodeId, message: Message) -> Send:
        return Send(peer=peer, message=message)

    def _notice(self, kind: NoticeKind, peer: NodeId | None = None, steps: int = 0) -> Notice:
        return Notice(kind=kind, stream_id=self.stream_id, peer=peer, steps=steps)
