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
from operator import attrgetter

from flwr_digest.core.account import Account, has_news, holds, settle
from flwr_digest.core.config import NodeConfig
from flwr_digest.core.effects import (
    AwaitSteps,
    CancelTimer,
    Effect,
    Notice,
    NoticeKind,
    Send,
    SetTimer,
    StreamClosed,
)
from flwr_digest.core.events import Timer, TimerKind
from flwr_digest.core.ids import NO_FENCE, Fence, NodeId, Order, StreamId
from flwr_digest.core.messages import Close, Hop, Inquiry, Message, Receipt, Sighting
from flwr_digest.core.patience import Patience
from flwr_digest.core.shard import Content, Shard, content_of
from flwr_digest.core.state import Counters, Outbound
from flwr_digest.core.stream import Stream, Tour
from flwr_digest.core.walk import Walk, next_hop, note_links, reachable, wander
from flwr_digest.errors import LocalProtocolError

MOST_REPLACEMENTS = 8
"""How often a gateway puts its own copy in another's place before it only relays. A guess: each
time the histories must have been cut by a long partition; ordinary histories need none."""


class Station:
    """The part of a node that deals with one stream.

    `kept` is always the newest copy that was here: while `held`, the stream itself; after that the
    copy that left. With `closed` and `held`, the stream is parked here until the next session.

    A node that is no member of the stream has a station, too, as soon as the stream passes through:
    it has no account (no `shard`), so it only relays.

    Every method that changes something returns the effects to carry out, in order.
    """

    def __init__(
        self,
        config: NodeConfig,
        stream_id: StreamId,
        kept: Stream,
        highest: Fence,
        shard: Shard | None,
    ) -> None:
        self.config = config
        self.stream_id = stream_id
        self.members = config.streams[stream_id].members
        self.shard = shard
        self.kept = kept.for_new_session()
        self.highest = highest
        self.held = False  # the stream is here, and leaves when pace and links allow
        self.outbound: Outbound | None = None
        self.closed = False
        self.counters = Counters()
        self.receipt_patience = Patience(first_seconds=config.first_receipt_seconds)
        self.tour_patience = Patience(first_seconds=config.first_lost_seconds)
        self._sent_to: NodeId | None = None  # who had the stream from here last
        self._left_at: float | None = None  # when the stream last left; None before
        self._steps_when_left = 0  # of this session
        self._answers: dict[NodeId, Order] = {}
        self._missing_until: float | None = None  # how long the last tour waits for members
        self._close_heard: Close | None = None  # the others have ended; this node still trains
        self._gave_up = False  # closed for want of links, not by a last tour
        self._idle_until: float | None = None  # how long it waits for news of other regions
        self._timers: set[TimerKind] = set()  # those that are set
        self._last_settled: Stream | None = None  # where the account has lost its history since
        self._paced = True  # the pace holds the stream: it is about to begin a tour
        self._stayed = 0  # how often a random walk has chosen to stay
        self._stay_until_steps = 0
        self._clock_offset = 0.0  # the driver's clock less the stream's

    @property
    def account(self) -> Account:
        """What this node has for the stream, and has given."""
        return self._member_shard.regions[self.stream_id].account

    @property
    def remembered(self) -> Stream:
        """The newest copy that was here and that the account knows of."""
        return self._last_settled or self.kept

    @property
    def trained(self) -> bool:
        """Whether this node will make no more local steps."""
        return self.shard is None or self.shard.trained

    @property
    def finished(self) -> bool:
        """Whether this node, and all behind it, will bring the stream nothing more."""
        return self.shard is None or self.shard.finished_for(self.stream_id)

    @property
    def _member_shard(self) -> Shard:
        if self.shard is None:
            raise LocalProtocolError(
                f"node {self.config.node_id} is no member of stream {self.stream_id}"
            )
        return self.shard

    @property
    def _steps(self) -> int:
        return 0 if self.shard is None else self.shard.ledger.steps

    # --- the session ------------------------------------------------------------------------

    def start(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Begin the session: the stream starts here, or is awaited."""
        self._clock_offset = now - self.kept.clock_seconds
        # Who has only the initial model though there was a stream before has lost its state since
        # the plan was made. To start with it would undo everything, if a neighbor knows more.
        outdated = self.kept.hop == 0 and self.config.generation > 0 and self.config.neighbors
        if self.config.streams[self.stream_id].start == self.config.node_id and not outdated:
            self.highest = max(self.highest, Fence(self.config.generation, NodeId(-1)))
            return self._reissue(live, now)
        return [self._await_stream(now)]

    def reconsider(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Look again, after more local steps or another stream's visit: may the stream leave?"""
        if self._close_heard is not None and self.finished:
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
        effects = self._cancel_timers()
        if self._left_at is not None:
            self.tour_patience = self.tour_patience.observed(now - self._left_at)
        self.outbound = None
        self.closed = self._gave_up = False  # what closed the session here was an older copy
        self._close_heard = None
        self._missing_until = None
        self.highest = stream.fence
        self._clock_offset = now - stream.clock_seconds
        self._paced = self.config.walk is not Walk.TOUR
        self._idle_until = None
        receipt = self._receipt_for(peer, stream)
        effects += self._visit(stream, now)
        return [*effects, receipt, *self._stay(live, now)]

    def _answer(self) -> Message:
        if self.closed:
            return Close(stream_id=self.stream_id, order=self.kept.order)
        sees_to_it = self.shard is not None or self.held or self.outbound is not None
        newest = self.kept.order if sees_to_it else Order(NO_FENCE, 0)
        return Sighting(stream_id=self.stream_id, newest=newest)

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
        return [*self._cancel_timers(), self._await_stream(now)]

    # --- a visit ----------------------------------------------------------------------------

    def _visit(self, stream: Stream, now: float) -> list[Effect]:
        """Settle accounts with a copy of the stream, keep it, and rebase the node on it."""
        if self.shard is None:
            # One hop on, so that it is newer than what passed before.
            done = frozenset({self.config.node_id}) & self.members  # one that lost its history
            tour = replace(stream.tour, seen=stream.tour.seen | done)
            finished = stream.finished | done
            self.kept = replace(stream, hop=stream.hop + 1, tour=tour, finished=finished)
            return []
        me = self.config.node_id
        self.shard.bank(now)
        effects: list[Effect] = []
        if self.config.regional and not holds(self.account, stream, me):
            if self.counters.replacements == MOST_REPLACEMENTS:
                return self._only_relay(stream, now)
            effects, stream = self._put_in_its_place(stream)
        finished = stream.finished | {me} if self.finished else stream.finished - {me}
        settlement = settle(self.account, stream, me, self.members)
        self.shard.regions[self.stream_id].account = settlement.account
        tour = replace(stream.tour, seen=stream.tour.seen | {me})
        # A last tour that finds something new cannot be the last: those before have not got it.
        closing = stream.closing and not settlement.news and self.finished
        self.kept = replace(settlement.stream, finished=finished, tour=tour, closing=closing)
        if self.config.regional:
            self._exchange_news(content_of(stream), now)
        self.counters.visits += 1
        self.counters.forfeited_steps += settlement.forfeited_steps
        if settlement.forfeited_steps:
            effects.append(self._notice(NoticeKind.FORFEITED, steps=settlement.forfeited_steps))
        return [*effects, self.shard.rebase(self.kept)]

    def _exchange_news(self, came_with: Content, now: float) -> None:
        """Note in the visit how old its news is, and hand the stream's own news to the shard."""
        shard, me = self._member_shard, self.config.node_id
        news = shard.news_for(self.stream_id, now)
        visit = replace(
            self.kept.last_visit(me),
            behind=news.nodes,
            born_seconds=news.born_seconds - self._clock_offset,
        )
        self.kept = replace(self.kept, visits={**self.kept.visits, me: visit})
        if not shard.visited_by(self.kept, came_with, self._clock_offset):
            self.counters.lost_deposits += 1

    def _put_in_its_place(self, stream: Stream) -> tuple[list[Effect], Stream]:
        """Take this node's own copy instead of one that is too old for its history.

        Between regions work cannot be given up: what a gateway has passed on cannot be called
        back, and would be passed on again when its nodes bring it anew.
        """
        self.counters.replacements += 1
        own = replace(self.kept, fence=self._raised_fence(), tour=stream.tour, closing=False)
        return [self._notice(NoticeKind.REPLACED)], own

    def _only_relay(self, stream: Stream, now: float) -> list[Effect]:
        """Let the stream pass without a visit: gateways replace each other's copies in turn."""
        self._member_shard.regions[self.stream_id].complete = True  # nothing more comes from it
        self._last_settled, self.shard = self.kept, None
        return [self._notice(NoticeKind.HISTORY_LOST), *self._visit(stream, now)]

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
        if self._alone(live):
            return self._wait_alone(live, now)
        missing_steps = self._goal_steps() - self._steps
        if missing_steps > 0 and not self.trained:
            return [AwaitSteps(stream_id=self.stream_id, more_steps=missing_steps)]
        effects: list[Effect] = []
        if self._has_news(now):
            effects += self._visit(self.kept, now)
            self._idle_until = now  # others shall know it soon
        elif lingers := self._lingers(now):
            return lingers
        peer = self._choose(tour)
        if peer is None:
            return effects + self._tour_completed(live, now)
        if peer == self.config.node_id:
            return effects + self._stay_longer(live, now)
        return effects + self._leave(peer, tour, now)

    def _alone(self, live: frozenset[NodeId]) -> bool:
        """Whether no other member can be reached, as far as this node's own links tell."""
        if live & self.members:
            return False
        config = self.config
        own = note_links(Tour(), config.node_id, config.neighbors, live)
        found = reachable(config.topology, config.node_id, own.dead_links)
        return found & self.members <= {config.node_id}

    def _goal_steps(self) -> int:
        """After how many local steps the pace lets the stream go.

        It holds a stream once on each tour, where the tour ends. Held at each node, all tours would
        be as slow as the slowest of them (measured: with unequal speeds, seven times as long).
        """
        pace = self.config.local_steps if self._paced else 0
        return max(self._steps_when_left + pace, self._stay_until_steps)

    def _lingers(self, now: float) -> list[Effect]:
        """Hold a stream for a while where only other regions can still bring news.

        Nobody here trains any more, so the pace holds no stream; it would race from node to node.
        """
        if not self.trained or self.finished:
            return []
        if self._idle_until is None:
            self._idle_until = now + self.receipt_patience.wait_seconds
        if now >= self._idle_until:
            return []
        return [self._set_timer(TimerKind.IDLE, self._idle_until)]

    def _has_news(self, now: float) -> bool:
        """Whether this node has something for the held copy, or something to tell."""
        if self.shard is None:
            return False
        self.shard.bank(now)
        told = self.config.node_id in self.kept.finished
        return has_news(self.account, self.kept, self.config.node_id) or told != self.finished

    def _stay_longer(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Follow a random walk that has chosen to stay: for one more local step."""
        self._stayed += 1
        self._stay_until_steps = self._steps + 1
        return self.try_to_leave(live, now)

    def _tour_completed(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        if self.config.node_id not in self.members:
            return self._bring_back(live, now)
        if self.kept.closing:
            return self._close(live)
        closing = self.kept.tour.seen & self.members <= self.kept.finished
        if closing and not self.members <= self.kept.tour.seen:
            effects = self._wait_for_missing(now)
            if effects:
                return effects
        self._missing_until = None
        tour = Tour(seen=frozenset({self.config.node_id}) & self.members)
        self.kept = replace(self.kept, tour=tour, closing=closing)
        self._paced = True
        return self.try_to_leave(live, now)

    def _bring_back(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Return the stream from a node that is no member, and found no way on, to the nearest."""
        tour = replace(self.kept.tour, seen=frozenset())
        tour = note_links(tour, self.config.node_id, self.config.neighbors, live)
        peer = self._choose(tour)
        return [] if peer is None else self._leave(peer, tour, now)

    def _wait_for_missing(self, now: float) -> list[Effect]:
        """Give members that could not be reached a last chance, once; empty when it is over."""
        if self._missing_until is None:
            self._missing_until = now + self.tour_patience.wait_seconds
        if now >= self._missing_until:
            return []
        return [self._set_timer(TimerKind.MISSING, self._missing_until)]

    def _wait_alone(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Without a link: wait for one; with nothing left to wait for, the session is over."""
        if not self.trained:
            self._missing_until = None
            return []
        effects = self._visit(self.kept, now) if self._has_news(now) else []
        waiting = self._wait_for_missing(now) if len(self.config.topology) > 1 else []
        return effects + (waiting or self._give_up())

    def _choose(self, tour: Tour) -> NodeId | None:
        """Return the next node; None at the end of a tour, this node to stay a while."""
        config = self.config
        key = (config.seed, self.stream_id, self.kept.hop, self._stayed)
        if config.walk is Walk.TOUR or self.kept.closing or self.trained:
            return next_hop(config.topology, self.members, config.node_id, tour, key)
        metropolis = config.walk is Walk.METROPOLIS
        me = config.node_id
        peer = wander(config.topology, self.members, me, tour, key, metropolis=metropolis)
        return next_hop(config.topology, self.members, me, tour, key) if peer is None else peer

    def _leave(self, peer: NodeId, tour: Tour, now: float) -> list[Effect]:
        self.kept = replace(self.kept, tour=tour)
        self.held = False
        self._missing_until = None
        self._left_at = now
        self._steps_when_left = self._steps
        self._stayed = 0
        self._idle_until = None
        return self._send_kept(peer, attempts=1, now=now)

    def _send_kept(self, peer: NodeId, attempts: int, now: float) -> list[Effect]:
        self.outbound = Outbound(peer=peer, attempts=attempts, sent_at=now)
        self._sent_to = peer
        self.counters.hops_sent += 1
        wait = self.receipt_patience.wait_seconds
        # How long the way takes is not known; a receipt takes a little longer: the safe side.
        way = self.receipt_patience.smoothed_seconds or 0.0
        self.kept = replace(self.kept, clock_seconds=now - self._clock_offset + way)
        return [
            self._send(peer, Hop(stream=self.kept)),
            self._set_timer(TimerKind.RECEIPT, now + wait),
        ]

    # --- when something is late -------------------------------------------------------------

    def timer_fired(self, kind: TimerKind, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Deal with a wait that has ended without what was waited for."""
        self._timers.discard(kind)
        if self.closed or self.held != (kind in (TimerKind.MISSING, TimerKind.IDLE)):
            return []
        match kind:
            case TimerKind.MISSING | TimerKind.IDLE:
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
        return [self._set_timer(TimerKind.LOST, soon)]

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
        if peer in (None, self.config.node_id):  # nobody left to see but the one who is silent
            peer = min(live - {out.peer}, default=None)
        if peer is not None:
            return self._reroute(peer, detour, now)
        if out.peer in live:
            return self._resend_in_vain(out, now)
        if self.trained and now - out.sent_at > self._lost_after_seconds:
            return self._give_up()  # no link at all for so long, and nothing left to do
        again = now + self.receipt_patience.wait_seconds
        return [self._set_timer(TimerKind.RECEIPT, again)]

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
        return self._set_timer(TimerKind.LOST, now + self._lost_after_seconds)

    def _stream_is_late(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        if self.shard is None:
            return []  # whoever is no member has nothing to miss
        if not live and self.trained:
            return self._give_up()  # no link for so long, and nothing left to do
        if not live or self._still_on_first_tour():
            return [self._await_stream(now)]
        self._answers = {}
        wait = self.receipt_patience.wait_seconds
        return [
            *(self._send(peer, Inquiry(stream_id=self.stream_id)) for peer in sorted(live)),
            self._set_timer(TimerKind.ANSWERS, now + wait),
        ]

    def _still_on_first_tour(self) -> bool:
        """Whether the pace alone explains that the stream has not come: nobody is done with it."""
        made = self._steps - self._steps_when_left
        return self._left_at is None and not self.trained and made < self.config.local_steps

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
        self._paced = True
        return self._visit(copy, now) + self._stay(live, now)

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
        if self.shard is not None and not self._gave_up:
            self.shard.ended(self.stream_id)
        close = Close(stream_id=self.stream_id, order=self.kept.order)
        return [
            *self._cancel_timers(),
            *(self._send(peer, close) for peer in sorted(live)),
            StreamClosed(stream_id=self.stream_id),
        ]

    def _set_timer(self, kind: TimerKind, at: float) -> SetTimer:
        self._timers.add(kind)
        return SetTimer(timer=Timer(kind=kind, stream_id=self.stream_id), at=at)

    def _cancel_timers(self) -> list[Effect]:
        """Forget all waits that are under way."""
        kinds = sorted(self._timers, key=attrgetter("value"))
        self._timers.clear()
        return [CancelTimer(timer=Timer(kind=kind, stream_id=self.stream_id)) for kind in kinds]

    def _send(self, peer: NodeId, message: Message) -> Send:
        return Send(peer=peer, message=message)

    def _notice(self, kind: NoticeKind, peer: NodeId | None = None, steps: int = 0) -> Notice:
        return Notice(kind=kind, stream_id=self.stream_id, peer=peer, steps=steps)
