"""Drives the core: one thread that turns what happens into events, and effects into deeds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from threading import Condition

from flwr_digest.core.effects import (
    AwaitSteps,
    CancelTimer,
    Effect,
    Notice,
    Rebase,
    Send,
    SetTimer,
    StreamClosed,
)
from flwr_digest.core.events import (
    Event,
    LinkDown,
    LinkUp,
    LocalSteps,
    MessageReceived,
    SessionStarted,
    Timer,
    TimerFired,
    TimerKind,
    TrainingFinished,
)
from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.core.messages import Hop, Message
from flwr_digest.core.node import Node
from flwr_digest.core.state import StationState
from flwr_digest.core.trainer import Trainer
from flwr_digest.core.vector import Vector, all_finite
from flwr_digest.errors import DivergedError, RemoteProtocolError
from flwr_digest.overlay.corrections import Corrections
from flwr_digest.overlay.faults import FaultLog, words
from flwr_digest.overlay.items import (
    Delivered,
    Finished,
    Item,
    Linked,
    StepsMade,
    Stop,
    Unlinked,
)
from flwr_digest.overlay.link import LOGGER, Link


class Driver:
    """Runs one core until it is stopped.

    Parameters
    ----------
    node : Node
        The core; from now on only this driver's thread touches it.
    trainer : Trainer
        Whoever trains the node's model.
    clock : callable
        Seconds, never running backwards.
    keep : callable
        Called with the states of the streams that a visit or a hop has changed, before anyone
        else hears of it (see `Keeper`).

    Attributes
    ----------
    changed : Condition
        Notified when links come or go, or the session closes; guards what is below.
    links : dict of NodeId to Link
        The live links.
    closed : bool
        Whether the session is over for all streams.
    departed : set of NodeId
        Neighbors that have said goodbye.
    met : set of NodeId
        Neighbors that there has been a link to.
    stranded : bool
        Whether the last stream was closed for want of links: neighbors are gone without goodbye.
    links_lost, links_refused : int
        How often a link ended without goodbye, and how often because the neighbor broke the rules.
    """

    def __init__(
        self,
        node: Node,
        trainer: Trainer,
        clock: Callable[[], float] = time.monotonic,
        keep: Callable[[Mapping[StreamId, StationState]], None] | None = None,
    ) -> None:
        self.node = node
        self._keep = keep
        self.changed = Condition()
        self.links: dict[NodeId, Link] = {}
        self.departed: set[NodeId] = set()
        self.met: set[NodeId] = set()
        self.closed = False
        self.stranded = False
        self.links_lost = self.links_refused = 0
        self._faults = FaultLog(node.config.node_id)
        self._lost_at: dict[NodeId, float] = {}  # links that broke and are not back
        self._trainer = trainer
        self._clock = clock
        self._inbox: SimpleQueue[Item] = SimpleQueue()
        self._timers: dict[Timer, float] = {}
        self._corrections = Corrections(node.config.node_id, trainer)

    @property
    def abandoned(self) -> bool:
        """Whether all neighbors have said goodbye (or there are none)."""
        return self.node.config.neighbors <= self.departed

    @property
    def uncorrected(self) -> bool:
        """Whether drift correction was switched off, as it grew."""
        return self._corrections.guard.tripped

    def post(self, item: Item) -> None:
        """Hand something in, from any thread."""
        self._inbox.put(item)

    def run(self) -> None:
        """Drive the core until `Stop` comes in. Runs in a thread of its own."""
        self._handle(SessionStarted())
        while self._turn():
            continue
        self._take_all_steps()
        self._faults.end()

    # --- in -----------------------------------------------------------------------------------

    def _turn(self) -> bool:
        """Deal with what is there, then with the timers that are due; return whether to go on.

        What is there when a timer is due goes first, as it may be what was waited for. What comes
        in only then does not, or a peer that sends without end would stop the clock.
        """
        items, now = self._come_in(), self._clock()
        for item in items:
            if isinstance(item, Stop):
                return False
            self._deal_with(item)
        self._fire_timers(now)
        return True

    def _come_in(self) -> list[Item]:
        """Wait for something to come in, at most until a timer is due; return all that is there."""
        try:
            first = self._inbox.get(timeout=self._seconds_to_next_timer())
        except Empty:
            return []
        return [first, *(self._inbox.get() for _ in range(self._inbox.qsize()))]

    def _deal_with(self, item: Item) -> None:
        match item:
            case Linked(link=link):
                self._link_up(link)
            case Unlinked(link=link, reason=reason):
                self._link_down(link, reason)
            case Delivered(link=link, message=message):
                self._delivered(link, message)
            case StepsMade(shard=shard):
                self._take_steps(shard)
            case Finished():
                self._take_all_steps()
                self._handle(TrainingFinished())

    def _link_up(self, link: Link) -> None:
        if (old := self.links.get(link.peer)) is not None:
            old.end()  # the peer has dialled again before we saw the old link break
            self._handle(LinkDown(peer=link.peer))
        with self.changed:
            self.links[link.peer] = link
            self.departed.discard(link.peer)
            self.met.add(link.peer)
            self.changed.notify_all()
        self._tell_of_return(link.peer)
        self._handle(LinkUp(peer=link.peer))

    def _link_down(self, link: Link, reason: str) -> None:
        if self.links.get(link.peer) is not link:
            return
        self._tell_of_loss(link, reason)
        with self.changed:
            del self.links[link.peer]
            if link.goodbye:
                self.departed.add(link.peer)
            self.changed.notify_all()
        self._handle(LinkDown(peer=link.peer))

    def _tell_of_loss(self, link: Link, reason: str) -> None:
        if link.goodbye:
            LOGGER.debug("node %d: node %d: %s", self.node.config.node_id, link.peer, reason)
            return
        now = self._clock()
        self.links_lost += 1
        self.links_refused += link.refused
        self._lost_at.setdefault(link.peer, now)
        line = f" lost its link to node {link.peer}: {reason}; streams go another way until it is"
        self._faults.tell(f"link to node {link.peer} lost", f"{line} back", now)

    def _tell_of_return(self, peer: NodeId) -> None:
        if (lost_at := self._lost_at.pop(peer, None)) is not None:
            now = self._clock()
            line = f" is linked with node {peer} again, after {now - lost_at:.1f} s"
            self._faults.tell(f"link to node {peer} back", line, now)

    def _delivered(self, link: Link, message: Message) -> None:
        if self.links.get(link.peer) is not link:
            return  # the last words of a link that is gone
        if isinstance(message, Hop):
            plan = self.node.config.streams[message.stream.stream_id]
            if self.node.config.node_id in plan.members:  # else it only passes through
                self._take_steps(plan.shard)
        try:
            self._handle(MessageReceived(peer=link.peer, message=message))
        except RemoteProtocolError as error:
            link.refuse(str(error))
            self._link_down(link, f"it broke the protocol: {error}")

    def _take_all_steps(self) -> None:
        for shard in self.node.shards:
            self._take_steps(shard)

    def _take_steps(self, shard: ShardId) -> None:
        """Hand the core what was trained of one shard since last time."""
        if (taken := self._trainer.take(shard)) is not None:
            steps, displacement, gradients = taken
            self._check_finite(displacement, gradients)
            self._handle(
                LocalSteps(shard=shard, steps=steps, displacement=displacement, gradients=gradients)
            )

    def _check_finite(self, *vectors: Vector | None) -> None:
        """Raise before what no peer would take gets into the accounts."""
        for vector in vectors:
            if vector is not None and not all_finite(vector):
                raise DivergedError(
                    f"node {self.node.config.node_id}: its local steps gave values that are not "
                    "finite; the training has diverged, a smaller learning rate may help"
                )

    # --- time ---------------------------------------------------------------------------------

    def _seconds_to_next_timer(self) -> float | None:
        if not self._timers:
            return None
        return max(0.0, min(self._timers.values()) - self._clock())

    def _fire_timers(self, now: float) -> None:
        """Fire the timers that are due by `now`."""
        for timer in [timer for timer, at in self._timers.items() if at <= now]:
            if self._timers.pop(timer, None) is not None:  # an earlier one may have cancelled it
                self._take_what_explains(timer)
                self._handle(TimerFired(timer=timer))

    def _take_what_explains(self, timer: Timer) -> None:
        """Hand in the local steps that may explain a stream's absence: its pace, if there are few.

        Else a stream that has never come, and for which nobody took them, is never missed.
        """
        plan = self.node.config.streams[timer.stream_id]
        if timer.kind is TimerKind.LOST and self.node.config.node_id in plan.members:
            self._take_steps(plan.shard)

    # --- out ----------------------------------------------------------------------------------

    def _handle(self, event: Event) -> None:
        now = self._clock()
        self._faults.calm(now)
        effects = self.node.handle(event, now)
        if self._keep is not None and (shards := self._changed_by(effects)):
            self._keep(self.node.states_of(shards))
        for effect in effects:
            self._carry_out(effect)

    def _changed_by(self, effects: list[Effect]) -> set[ShardId]:
        """Return the shards of this node whose states others are about to hear of."""
        shards = set()
        for effect in effects:
            match effect:
                case Rebase(shard=shard):
                    shards.add(shard)
                case Send(message=Hop(stream=stream)):
                    shards.add(self.node.config.streams[stream.stream_id].shard)
        return shards

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send(peer=peer, message=message):
                if (link := self.links.get(peer)) is not None:
                    link.send(message)
            case Rebase(shard=shard, model=model, correction=correction):
                self._trainer.rebase(shard, model, self._corrections.let_in(shard, correction))
            case AwaitSteps(stream_id=stream_id, more_steps=more_steps):
                shard = self.node.config.streams[stream_id].shard
                self._trainer.wake_after(shard, more_steps, lambda: self.post(StepsMade(shard)))
            case SetTimer(timer=timer, at=at):
                self._timers[timer] = at
            case CancelTimer(timer=timer):
                self._timers.pop(timer, None)
            case Notice():
                self._faults.tell(*words(effect), self._clock())
            case StreamClosed():
                with self.changed:
                    self.closed = self.node.closed
                    self.stranded = not self.links and not self.abandoned
                    self.changed.notify_all()
