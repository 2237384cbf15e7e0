"""A history of the world as a dialogue: one line for each thing worth telling."""

from __future__ import annotations

from collections.abc import Callable

from flwr_digest.core.effects import Effect, Notice, Rebase, Send, StreamClosed
from flwr_digest.core.events import Event, TimerFired, TimerKind, TrainingFinished
from flwr_digest.core.ids import NO_FENCE, NodeId, Order, ShardId, StreamId, link
from flwr_digest.core.messages import Close, Hop, Inquiry, Message, Receipt, Sighting
from flwr_digest.core.stream import Stream
from flwr_digest.core.vector import Vector
from tests.support.world import World

LATE = {
    TimerKind.RECEIPT: "has waited for the receipt in vain",
    TimerKind.LOST: "has not seen the stream for too long",
    TimerKind.ANSWERS: "has waited long enough for answers",
    TimerKind.PACE: "has held the stream for as long as most others would",
    TimerKind.MISSING: "has waited long enough for those it cannot reach",
    TimerKind.IDLE: "has waited long enough for news of other regions",
}


class Transcript:
    """Writes down what it watches, and lets a story do things to the world and say so."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._drops: dict[tuple[NodeId, StreamId], int] = {}

    def note(self, world: World, node: NodeId, what: Event | Effect) -> None:
        """Write a line about an event or an effect, if it is worth one."""
        match what:
            case Send(peer=peer, message=message) if link(node, peer) in world.up:
                said = self._message(world, node, message)
                self.tell(world, f"{node} -> {peer}  {said}")
            case Rebase(shard=shard, correction=correction):
                self._rebased(world, node, shard, correction)
            case Notice(kind=kind, stream_id=stream_id, steps=steps):
                much = f" ({steps} steps)" if steps else ""
                self.tell(world, f"{node}       {name(world, stream_id)}{kind.value}{much}")
            case StreamClosed(stream_id=stream_id):
                which = name(world, stream_id).strip() or "the stream"
                self.tell(world, f"{node}       is done: {which} is closed")
            case TimerFired(timer=timer):
                self.tell(world, f"{node}       {name(world, timer.stream_id)}{LATE[timer.kind]}")
            case TrainingFinished():
                self.tell(world, f"{node}       has finished training")
            case _:
                pass

    def tell(self, world: World, line: str) -> None:
        """Write a line, with the time."""
        self.lines.append(f"t={world.now:07.4f}  {line}")

    def _rebased(
        self, world: World, node: NodeId, shard: ShardId, correction: Vector | None
    ) -> None:
        """Tell what a visit does to the node, and the copy that leaves next does not say."""
        if held_back := world.nodes[node].shards[shard].ledger.pending_steps:
            much = counted(held_back)
            self.tell(world, f"{node}       keeps {much} back: the gate is closed")
        if correction is not None:
            self.tell(world, f"{node}       corrects its gradients by {along(world, correction)}")

    def _message(self, world: World, sender: NodeId, message: Message) -> str:
        match message:
            case Hop(stream=stream):
                which = name(world, stream.stream_id)
                said = f"hop      {which}{order(stream.order)}  contains {contents(world, stream)}"
                return said + remarks(world, sender, stream)
            case Receipt(order=received, stream_id=stream_id):
                said = f"receipt  {name(world, stream_id)}{order(received)}"
                return f"{said}  {self._verdict(world, sender, message)}"
            case Inquiry(stream_id=stream_id):
                which = name(world, stream_id).strip() or "the stream"
                return f"inquiry  who has seen {which}?"
            case Sighting(newest=newest, stream_id=stream_id):
                return f"sighting {name(world, stream_id)}{order(newest)} is what I keep"
            case Close(order=closed, stream_id=stream_id):
                return f"close    {name(world, stream_id)}{order(closed)}"

    def _verdict(self, world: World, sender: NodeId, receipt: Receipt) -> str:
        drops = world.nodes[sender].stations[receipt.stream_id].counters.stale_drops
        dropped = drops > self._drops.get((sender, receipt.stream_id), 0)
        self._drops[sender, receipt.stream_id] = drops
        return f"dropped: I know {order(receipt.newest)}" if dropped else "taken"

    # --- what a story does ------------------------------------------------------------------

    def train(self, world: World, node: NodeId, steps: int) -> None:
        """Let a node train, and say so first."""
        self.tell(world, f"{node}       trains {counted(steps)}")
        world.train(node, steps)

    def lose(self, world: World, kind: type[Message], sender: NodeId) -> None:
        """Lose the first message of this kind from `sender` that is under way."""
        index = where(world, kind, sender)
        wire = world.under_way[index]
        self.tell(
            world, f"         (lost: {wire.sender} -> {wire.receiver} {kind.__name__.lower()})"
        )
        world.drop(index)

    def cut(self, world: World, one: NodeId, other: NodeId) -> None:
        """Break a link, and say so first."""
        self.tell(world, f"         (the link {one} - {other} breaks)")
        world.cut(one, other)

    def crash(self, world: World, node: NodeId) -> None:
        """Kill a node, and say so."""
        self.tell(world, f"{node}       DIES")
        world.crash(node)

    def restart(self, world: World, node: NodeId, *, with_state: bool) -> None:
        """Start a node again, and say how."""
        self.tell(world, f"{node}       COMES BACK {'with its state' if with_state else 'empty'}")
        world.restart(node, with_state=with_state)


def counted(steps: int) -> str:
    """Return a number of steps in words."""
    return f"{steps} step{'s' * (steps > 1)}"


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


def name(world: World, stream_id: StreamId) -> str:
    """Return how to call a stream; nothing where there is but one."""
    return f"stream {stream_id}  " if len(world.streams) > 1 else ""


def remarks(world: World, sender: NodeId, stream: Stream) -> str:
    """Return what else there is to say of a copy that leaves `sender`."""
    found = []
    if stream.rate is not None:
        found.append(f"  rates {along(world, stream.rate / world.weight)}")
    if sender not in world.streams[stream.stream_id].members:
        found.append("  (passing through)")
    if stream.closing:
        found.append("  (last tour)")
    return "".join(found)


def along(world: World, vector: Vector) -> str:
    """Return a vector along the coordinates of the nodes that have made gradients."""
    axes = sorted(world.rates.axes.items())
    return " ".join(f"{node}:{vector[axis]:g}" for (node, _), axis in axes) or "none"


def contents(world: World, stream: Stream) -> str:
    """Return how many steps of whom a copy contains; ``2:3+1`` is node 2 in two lives."""
    steps: dict[NodeId, list[int]] = {}
    for node, life in world.work.made:
        steps.setdefault(node, []).append(round(world.work.contained(stream, node, life)))
    return " ".join(f"{node}:{'+'.join(map(str, lives))}" for node, lives in sorted(steps.items()))
