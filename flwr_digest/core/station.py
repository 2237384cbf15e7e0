"""One stream at one node: visits, the pace, departures, receipts, and what to do when it is lost.

a hop arrives ──> newer than all seen? ──no──> receipt, drop                        kept
          │ yes
  receipt, settle accounts, rebase the node                                         visits
          │
  held until the pace is kept and a neighbor is there                               holding, pace
          │
  kept copy = what leaves; send; await the receipt                                  departure
          │                      │ none in time
  await the stream      send again, then another way (raised fence)
          │ not seen for several tours
  ask the neighbors ──> nobody knows a newer copy ──> re-issue (raised fence)       search

A last tour, or word of it, ends the session (`ending`). Each part is a module of its own with its
own state; the station passes events to them, and what one's outcome means to the others.
"""

from __future__ import annotations

from flwr_digest.core.account import Account
from flwr_digest.core.config import NodeConfig
from flwr_digest.core.decision import Decision, Leave, Then, wait
from flwr_digest.core.departure import Departure, Outbound
from flwr_digest.core.effects import Effect, Notice, NoticeKind, Send
from flwr_digest.core.ending import Ending
from flwr_digest.core.events import TimerKind
from flwr_digest.core.holding import Holding
from flwr_digest.core.ids import NO_FENCE, Fence, NodeId, Order, StreamId
from flwr_digest.core.kept import KeptCopy
from flwr_digest.core.messages import Close, Hop, Inquiry, Message, Receipt, Sighting
from flwr_digest.core.pace import Pace
from flwr_digest.core.patience import first_delays
from flwr_digest.core.route import is_alone
from flwr_digest.core.search import Search
from flwr_digest.core.shard import Shard
from flwr_digest.core.silence import Silence
from flwr_digest.core.state import Counters
from flwr_digest.core.stream import Stream, Tour
from flwr_digest.core.timers import Timers
from flwr_digest.core.usual import Usual
from flwr_digest.core.visits import Visits
from flwr_digest.core.walk import Walk

HELD_TIMERS = (TimerKind.MISSING, TimerKind.IDLE, TimerKind.PACE)
"""Those that a stream waits for while it is here."""


class Station:
    """The part of a node that deals with one stream.

    The stream is here (`held`), or on its way to the next node (`outbound`), or away. With `closed`
    and `held`, it is parked here until the next session.

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
        silence: Silence | None = None,
    ) -> None:
        self.config = config
        self.stream_id = stream_id
        self.members = config.streams[stream_id].members
        copy = KeptCopy(node_id=config.node_id, stream=kept.for_new_session(), highest=highest)
        counters, timers, pace = Counters(), Timers(stream_id=stream_id), Pace(config=config)
        visits = Visits(config=config, copy=copy, shard=shard, counters=counters)
        delays = first_delays(config)
        self.held = False  # the stream is here, and leaves when pace and links allow
        self.copy, self.visits, self.counters = copy, visits, counters
        self.timers, self.delays, self.pace = timers, delays, pace
        self.silence = Silence() if silence is None else silence
        self.usual = Usual(config=config)
        self.holding = Holding(
            config=config,
            copy=copy,
            visits=visits,
            delays=delays,
            timers=timers,
            pace=pace,
            usual=self.usual,
        )
        self.departure = Departure(
            config=config,
            copy=copy,
            visits=visits,
            delays=delays,
            timers=timers,
            counters=counters,
            silence=self.silence,
        )
        self.search = Search(
            copy=copy, visits=visits, delays=delays, timers=timers, pace=pace, counters=counters
        )
        self.ending = Ending(copy=copy, visits=visits, departure=self.departure, timers=timers)

    @property
    def kept(self) -> Stream:
        """The newest copy that was here: while `held`, the stream itself; then, what has left."""
        return self.copy.stream

    @property
    def remembered(self) -> Stream:
        """The newest copy that was here and that the account knows of."""
        return self.visits.remembered

    @property
    def highest(self) -> Fence:
        """The highest fence that this node has heard of."""
        return self.copy.highest

    @property
    def shard(self) -> Shard | None:
        """Has the account; None where the stream only passes through."""
        return self.visits.shard

    @property
    def account(self) -> Account:
        """What this node has for the stream, and has given."""
        return self.visits.account

    @property
    def outbound(self) -> Outbound | None:
        """The hop that awaits its receipt."""
        return self.departure.outbound

    @property
    def closed(self) -> bool:
        """Whether the session is over for this stream."""
        return self.ending.closed

    # --- the session ------------------------------------------------------------------------

    def start(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Begin the session: the stream starts here, or is awaited."""
        self.copy.follow_clock(self.kept, now)
        self.usual.begin(self.kept, now)
        starts = self.config.streams[self.stream_id].start == self.config.node_id
        if starts and not self._outdated:
            self.copy.heard_of(Fence(self.config.generation, NO_FENCE.node))
            return self._reissue(live, now)
        return [self.search.wait(now)]

    @property
    def _outdated(self) -> bool:
        """Whether this node has lost its state since the plan was made, and others may know more.

        It has only the initial model, though there was a stream before, or though it is in another
        life than the plan knows of. To start with that would undo everything.
        """
        config = self.config
        another_life = self.shard is not None and config.life not in (None, 0, self.account.life)
        before = config.generation > 0 or another_life
        return self.kept.hop == 0 and before and bool(config.neighbors)

    def reconsider(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Look again, after more local steps or another stream's visit: may the stream leave?"""
        if self.ending.heard is not None and self.visits.finished:
            return self._close_arrived(self.ending.heard, live, now)
        return self._try_to_leave(live, now)

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
                return [Send(peer=peer, message=self._answer())]
            case Sighting():
                self.search.answered(peer, message)
                return []
            case Close():
                return self._close_arrived(message, live - {peer}, now)

    def _hop_arrived(
        self, peer: NodeId, stream: Stream, live: frozenset[NodeId], now: float
    ) -> list[Effect]:
        if self.copy.is_newer_than(stream):
            self.counters.stale_drops += 1
            return [Send(peer=peer, message=self.copy.receipt_for(stream))]
        canceled = self.timers.cancel_all()
        self.search.came_back(now, again=self._only_passes(stream))
        self.departure.outbound = None
        self.ending.reopen()
        self.copy.heard_of(stream.fence)
        self.copy.follow_clock(stream, now)
        self.holding.arrived()
        receipt = Send(peer=peer, message=self.copy.receipt_for(stream))
        return [*canceled, *self.visits.settle(stream, now), receipt, *self._hold(live, now)]

    def _only_passes(self, stream: Stream) -> bool:
        """Whether a copy has been here on the tour that it is on; a random walk has no tours."""
        touring = self.config.walk is Walk.TOUR or self.visits.trained
        return touring and self.config.node_id in stream.tour.seen

    def _receipt_arrived(self, peer: NodeId, receipt: Receipt, now: float) -> list[Effect]:
        self.copy.heard_of(receipt.newest.fence)
        if not self.departure.acknowledged(peer, receipt, now):
            return []
        return [*self.timers.cancel_all(), self.search.wait(now)]

    def _answer(self) -> Message:
        """Return what to say to an inquiry."""
        if self.closed:
            return self.ending.message
        sees_to_it = self.shard is not None or self.held or self.outbound is not None
        newest = self.kept.order if sees_to_it else Order(NO_FENCE, 0)
        return Sighting(stream_id=self.stream_id, newest=newest)

    def _close_arrived(self, close: Close, others: frozenset[NodeId], now: float) -> list[Effect]:
        if not self.ending.comes_with(close):
            return []
        self.search.silence_ends(now)
        return self.ending.close(others)

    # --- while the stream is here -----------------------------------------------------------

    def _hold(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        self.held = True
        return self._try_to_leave(live, now)

    def _try_to_leave(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Send the held stream on, if the pace is kept and there is a neighbor to send it to."""
        if not self.held or self.closed:
            return []
        return self._carry_out(self.holding.decide(self._answering(live), now), live, now)

    def _answering(self, live: frozenset[NodeId]) -> frozenset[NodeId]:
        """Return the neighbors that answer; all, where no member can be reached by way of those."""
        answering = self.silence.answering(live)
        if answering == live or is_alone(self.config, self.stream_id, answering):
            return live
        return answering

    # --- when something is late, or comes or goes -------------------------------------------

    def timer_fired(self, kind: TimerKind, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Deal with a wait that has ended without what was waited for."""
        self.timers.fired(kind)
        if self.closed or self.held != (kind in HELD_TIMERS):
            return []
        match kind:
            case TimerKind.MISSING | TimerKind.IDLE | TimerKind.PACE:
                decision = self.holding.decide(self._answering(live), now)
            case TimerKind.RECEIPT:
                decision = self.departure.late(live, now)
            case TimerKind.LOST | TimerKind.ANSWERS if self.outbound is not None:
                decision = wait()  # it is not the stream that is late, but a receipt
            case TimerKind.LOST:
                decision = self.search.late(live, now)
            case TimerKind.ANSWERS:
                decision = self.search.answers_are_in(live)
        return self._carry_out(decision, live, now)

    def link_up(self, peer: NodeId, live: frozenset[NodeId], now: float) -> list[Effect]:
        """A link has come: a stream that waited for one can go."""
        if self.ending.withdraw():  # it was too early to give up
            self.holding.alone.renew()
            return self._try_to_leave(live, now) if self.held else [self.search.wait(now)]
        if self.outbound is None:
            return self._try_to_leave(live, now)
        return self._carry_out(self.departure.link_up(peer, live, now), live, now)

    def link_down(self, peer: NodeId, live: frozenset[NodeId], now: float) -> list[Effect]:
        """A link has gone: with it, perhaps, the stream that was sent over it last."""
        if self.outbound is not None:
            return self._carry_out(self.departure.link_down(peer, live, now), live, now)
        start = self.config.streams[self.stream_id].start
        had_it = self.departure.sent_to == peer or (self.kept.hop == 0 and peer == start)
        if self.closed or self.held or not had_it:
            return []
        return [self.search.wait_less(now)]

    # --- what was decided -------------------------------------------------------------------

    def _carry_out(self, decision: Decision, live: frozenset[NodeId], now: float) -> list[Effect]:
        return [*decision.effects, *self._follow(decision, live, now)]

    def _follow(self, decision: Decision, live: frozenset[NodeId], now: float) -> list[Effect]:
        match decision.then:
            case Then.WAIT:
                return []
            case Leave(peer=peer, tour=tour):
                return self._leave(peer, tour, now)
            case Then.AWAIT:
                self.held = False
                return [self.search.wait(now)]
            case Then.REISSUE:
                self.counters.reissues += 1
                return [self._notice_of_reissue(now), *self._reissue(live, now)]
            case Then.CLOSE:
                self.search.silence_ends(now)
                return self.ending.close(live)
            case Then.GIVE_UP:
                self.search.silence_ends(now)
                return self.ending.give_up()

    def _leave(self, peer: NodeId, tour: Tour, now: float) -> list[Effect]:
        self.held = False
        self.holding.left()
        self.search.left(now)
        self.usual.left(self.kept, self.visits.steps, now)
        inquiry = Inquiry(stream_id=self.stream_id)
        questions = [Send(peer=each, message=inquiry) for each in self.silence.to_ask(now)]
        canceled = self.timers.cancel(TimerKind.PACE)
        return [*canceled, *questions, *self.departure.send(peer, tour, now)]

    def _notice_of_reissue(self, now: float) -> Notice:
        seconds = self.search.away_seconds(now)
        return Notice(
            kind=NoticeKind.REISSUED,
            stream_id=self.stream_id,
            seconds=seconds,
            tours=self.search.in_tours(seconds),
            hop=self.kept.hop,
        )

    def _reissue(self, live: frozenset[NodeId], now: float) -> list[Effect]:
        """Put the kept copy back into the world, above every other copy."""
        copy = self.copy.reissued()
        self.usual.renew()
        self.search.silence_ends(now)
        self.pace.tour_begins()
        return [*self.visits.settle(copy, now), *self._hold(live, now)]
