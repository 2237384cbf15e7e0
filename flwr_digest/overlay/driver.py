"""Drives the core: one thread that turns what happens into events, and effects into deeds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
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
    TrainingFinished,
)
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.messages import Hop, Message
from flwr_digest.core.node import Node
from flwr_digest.core.trainer import Trainer
from flwr_digest.errors import RemoteProtocolError
from flwr_digest.overlay.link import LOGGER, Link


@dataclass(frozen=True, slots=True)
class Linked:
    """A link has come up."""

    link: Link


@dataclass(frozen=True, slots=True)
class Unlinked:
    """A link has ended, for the reason given in words."""

    link: Link
    reason: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message has come in over a link."""

    link: Link
    message: Message


@dataclass(frozen=True, slots=True)
class StepsMade:
    """The trainer has made the steps that a held stream waits for."""

    stream_id: StreamId


@dataclass(frozen=True, slots=True)
class Finished:
    """The trainer will make no more steps."""


@dataclass(frozen=True, slots=True)
class Stop:
    """End the driver."""


Item = Linked | Unlinked | Delivered | StepsMade | Finished | Stop


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
    lonely_since : float
        When the last link was lost (or the session began), by the clock.
    """

    def __init__(
        self, node: Node, trainer: Trainer, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.node = node
        self.changed = Condition()
        self.links: dict[NodeId, Link] = {}
        self.departed: set[NodeId] = set()
        self.met: set[NodeId] = set()
        self.lonely_since = clock()
        self.closed = False
        self._trainer = trainer
        self._clock = clock
        self._inbox: SimpleQueue[Item] = SimpleQueue()
        self._timers: dict[Timer, float] = {}

    def post(self, item: Item) -> None:
        """Hand something in, from any thread."""
        self._inbox.put(item)

    def run(self) -> None:
        """Drive the core until `Stop` comes in. Runs in a thread of its own."""
        self._handle(SessionStarted())
        while True:
            try:
                item = self._inbox.get(timeout=self._seconds_to_next_timer())
            except Empty:
                self._fire_due_timers()
                continue
            if isinstance(item, Stop):
                self._take_steps()
                return
            self._deal_with(item)

    # --- in -----------------------------------------------------------------------------------

    def _deal_with(self, item: Item) -> None:
        match item:
            case Linked(link=link):
                self._link_up(link)
            case Unlinked(link=link, reason=reason):
                self._link_down(link, reason)
            case Delivered(link=link, message=message):
                self._delivered(link, message)
            case StepsMade():
                self._take_steps()
            case Finished():
                self._take_steps()
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
        self._handle(LinkUp(peer=link.peer))

    def _link_down(self, link: Link, reason: str) -> None:
        if self.links.get(link.peer) is not link:
            return
        level = LOGGER.debug if link.goodbye else LOGGER.warning
        level("node %d lost its link to %d: %s", self.node.config.node_id, link.peer, reason)
        with self.changed:
            del self.links[link.peer]
            self.lonely_since = self._clock()
            if link.goodbye:
                self.departed.add(link.peer)
            self.changed.notify_all()
        self._handle(LinkDown(peer=link.peer))

    def _delivered(self, link: Link, message: Message) -> None:
        if self.links.get(link.peer) is not link:
            return  # the last words of a link that is gone
        if isinstance(message, Hop):
            self._take_steps()
        try:
            self._handle(MessageReceived(peer=link.peer, message=message))
        except RemoteProtocolError as error:
            link.refuse(str(error))
            self._link_down(link, f"it broke the protocol: {error}")

    def _take_steps(self) -> None:
        """Hand the core what was trained since last time (one stream: the whole vector)."""
        if (taken := self._trainer.take()) is not None:
            for stream_id in self.node.stations:
                self._handle(
                    LocalSteps(
                        stream_id=stream_id, steps=taken.steps, displacement=taken.displacement
                    )
                )

    # --- time ---------------------------------------------------------------------------------

    def _seconds_to_next_timer(self) -> float | None:
        if not self._timers:
            return None
        return max(0.0, min(self._timers.values()) - self._clock())

    def _fire_due_timers(self) -> None:
        now = self._clock()
        for timer in [timer for timer, at in self._timers.items() if at <= now]:
            if self._timers.pop(timer, None) is not None:  # an earlier one may have cancelled it
                self._handle(TimerFired(timer=timer))

    # --- out ----------------------------------------------------------------------------------

    def _handle(self, event: Event) -> None:
        for effect in self.node.handle(event, self._clock()):
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send(peer=peer, message=message):
                if (link := self.links.get(peer)) is not None:
                    link.send(message)
            case Rebase(model=model):
                self._trainer.rebase(model)
            case AwaitSteps(stream_id=stream_id, steps=steps):
                missing = steps - self.node.stations[stream_id].account.steps
                self._trainer.wake_after(missing, lambda: self.post(StepsMade(stream_id)))
            case SetTimer(timer=timer, at=at):
                self._timers[timer] = at
            case CancelTimer(timer=timer):
                self._timers.pop(timer, None)
            case Notice():
                self._log(effect)
            case StreamClosed():
                with self.changed:
                    self.closed = self.node.closed
                    self.changed.notify_all()

    def _log(self, notice: Notice) -> None:
        where = f" (node {notice.peer})" if notice.peer is not None else ""
        count = f" ({notice.steps} steps)" if notice.steps else ""
        LOGGER.warning(
            "node %d, stream %d: %s%s%s",
            self.node.config.node_id, notice.stream_id, notice.kind.value, where, count,
        )  # fmt: skip
