"""A history of the world as a dialogue: one line for each thing worth telling."""

from __future__ import annotations

from collections.abc import Callable

from flwr_digest.core.effects import Effect, Notice, Rebase, Send, StreamClosed
from flwr_digest.core.events import Event, TimerFired, TimerKind, TrainingFinished
from flwr_digest.core.ids import NO_FENCE, NodeId, Order, link
from flwr_digest.core.messages import Close, Hop, Inquiry, Message, Receipt, Sighting
from flwr_digest.core.stream import Stream
from tests.support.world import STREAM, World

LATE = {
    TimerKind.RECEIPT: "has waited for the receipt in vain",
    TimerKind.LOST: "has not seen the stream for too long",
    TimerKind.ANSWERS: "has waited long enough for answers",
    TimerKind.MISSING: "has waited long enough for those it cannot reach",
}


class Transcript:
    """Writes down what it watches, and lets a story do things to the world and say so."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._drops: dict[NodeId, int] = {}

    def note(self, world: World, node: NodeId, what: Event | Effect) -> None:
        """Write a line about an event or an effect, if it is worth one."""
        match what:
            case Send(peer=peer, message=message) if link(node, peer) in world.up:
                said = self._message(world, node, message)
                self.tell(world, f"{node} -> {peer}  {said}")
            case Rebase():
                pass  # the copy that leaves next tells it
            case Notice(kind=kind, steps=steps):
                much = f" ({steps} steps)" if steps else ""
                self.tell(world, f"{node}       {kind.value}{much}")
            case StreamClosed():
                self.tell(world, f"{node}       is done: the stream is closed")
            case TimerFired(timer=timer):
                self.tell(world, f"{node}       {LATE[timer.kind]}")
            case TrainingFinished():
                self.tell(world, f"{node}       has finished training")
            case _:
                pass

    def tell(self, world: World, line: str) -> None:
        """Write a line, with the time."""
        self.lines.append(f"t={world.now:05.2f}  {line}")

    def _message(self, world: World, sender: NodeId, message: Message) -> str:
        match message:
            case Hop(stream=stream):
                last_tour = "  (last tour)" if stream.closing else ""
                return (
                    f"hop      {order(stream.order)}  contains {contents(world, stream)}{last_tour}"
                )
            case Receipt(order=received, newest=newest):
                drops = world.nodes[sender].stations[STREAM].counters.stale_drops
                dropped = drops > self._drops.get(sender, 0)
                self._drops[sender] = drops
                verdict = f"dropped: I know {order(newest)}" if dropped else "taken"
                return f"receipt  {order(received)}  {verdict}"
            case Inquiry():
                return "inquiry  who has seen the stream?"
            case Sighting(newest=newest):
                return f"sighting {order(newest)} is what I keep"
            case Close(order=closed):
                return f"close    {order(closed)}"

    # --- what a story does ------------------------------------------------------------------

    def train(self, world: World, node: NodeId, steps: int) -> None:
        """Let a node train, and say so first."""
        self.tell(world, f"{node}       trains {steps} step{'s' * (steps > 1)}")
        world.train(node, steps)

    def lose(self, world: World, kind: type[Message], sender: NodeId) -> None:
        """Lose the first message of this kind from `sender` that is under way."""
        index = where(world, kind, sender)
        wire = world.under_way[index]
        self.tell(
            world, f"         (lost: {wire.sender} -> {wire.receiver} {kind.__name__.lower()})"
        )
        world.drop(index)

    def crash(self, world: World, node: NodeId) -> None:
        """Kill a node, and say so."""
        self.tell(world, f"{node}       DIES")
        world.crash(node)

    def restart(self, world: World, node: NodeId, *, with_state: bool) -> None:
        """Start a node again, and say how."""
        self.tell(world, f"{node}       COMES BACK {'with its state' if with_state else 'empty'}")
        world.restart(node, with_state=with_state)


def where(world: World, kind: type[Message], sender: NodeId) -> int:
    """Return the index of the first message of this kind from `sender` that is under way."""
    return next(
        index
        for index, wire in enumerate(world.under_way)
        if isinstance(wire.message, kind) and wire.sender == sender
    )


def go_on(world: World, until: Callable[[World], bool], most_events: int = 200) -> None:
    """Deliver messages in order, and let time pass where there are none, until something holds."""
    for _ in range(most_events):
        if until(world):
            return
        if world.under_way:
            world.deliver()
        else:
            world.fire_next_timer()
    raise AssertionError(f"the story did not come there within {most_events} events")


def order(what: Order) -> str:
    """Return fence and hop as people write them: ``fence 1.0 hop 3``."""
    if what == Order(NO_FENCE, 0):
        return "the initial model"
    return f"fence {what.fence.generation}.{what.fence.node} hop {what.hop}"


def contents(world: World, stream: Stream) -> str:
    """Return how many steps of whom a copy contains; ``2:3+1`` is node 2 in two lives."""
    steps: dict[NodeId, list[int]] = {}
    for node, life in world.work.made:
        steps.setdefault(node, []).append(round(world.work.contained(stream, node, life)))
    return " ".join(f"{node}:{'+'.join(map(str, lives))}" for node, lives in sorted(steps.items()))
