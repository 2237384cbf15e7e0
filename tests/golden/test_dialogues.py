"""Golden dialogues: the protocol as its nodes speak it, told as short stories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import networkx as nx
import pytest

from flwr_digest.core.ids import NodeId
from flwr_digest.core.messages import Hop, Receipt
from flwr_digest.core.walk import Walk
from tests.golden.transcript import Transcript, go_on, where
from tests.support.world import STREAM, World

A, B, C = NodeId(0), NodeId(1), NodeId(2)


def ring_of_three(told: Transcript, local_steps: int = 0, walk: Walk = Walk.TOUR) -> World:
    return World(graph=nx.cycle_graph(3), local_steps=local_steps, walk=walk, watch=told.note)


def next_holder(world: World) -> NodeId:
    """Return where the first hop under way goes to."""
    return next(wire.receiver for wire in world.under_way if isinstance(wire.message, Hop))


def nobody_waits(world: World) -> bool:
    """Whether each copy that was sent has its receipt."""
    return all(node.stations[STREAM].outbound is None for node in world.nodes.values())


def visits(node: NodeId, count: int) -> Callable[[World], bool]:
    """Return the question whether `node` was visited that often."""
    return lambda world: world.nodes[node].stations[STREAM].counters.visits >= count


def passed_on(node: NodeId) -> Callable[[World], bool]:
    """Return the question whether `node` was visited, and the next has the stream safely."""
    return lambda world: (
        visits(node, 1)(world) and world.nodes[node].stations[STREAM].outbound is None
    )


def quiet_session(told: Transcript) -> None:
    """Three nodes in a ring, one quiet session to its end."""
    world = ring_of_three(told)
    for node, steps in ((A, 2), (B, 3), (C, 1)):
        told.train(world, node, steps)
    for _ in range(5):
        world.deliver()
    for node in (A, B, C):
        world.finish(node)
    go_on(world, lambda world: all(n.closed for n in world.nodes.values()) and not world.under_way)
    world.work.check_end(list(world.nodes.values()))


def holder_dies(told: Transcript) -> None:
    """The holder dies, a neighbor re-issues."""
    world = ring_of_three(told, 2, Walk.RANDOM)  # whose pace holds it at each node
    told.train(world, A, 2)
    lost = next_holder(world)
    go_on(world, nobody_waits)  # taken, and held there by the pace
    told.crash(world, lost)
    go_on(world, lambda world: "re-issued" in " ".join(world.log))
    for node in list(world.nodes):
        told.train(world, node, 2)
    go_on(world, lambda world: not world.under_way)


def receipt_lost(told: Transcript) -> None:
    """The receipt is lost: sent again, dropped as a duplicate."""
    world = ring_of_three(told, local_steps=2)
    told.train(world, A, 2)
    receiver = next_holder(world)
    world.deliver()
    told.lose(world, Receipt, receiver)
    go_on(world, nobody_waits)


def another_way(told: Transcript) -> None:
    """No receipt: sent another way, the old copy dies at the first node that knows the fence."""
    world = ring_of_three(told, 2, Walk.RANDOM)  # whose pace holds it at each node
    world.now = 8.0  # so a step takes seconds: a stream is not let go before all that follows
    told.train(world, A, 2)
    silent = next_holder(world)
    other = B if silent == C else C
    told.train(world, silent, 1)  # so it is not known as slow, and keeps the pace
    for _ in range(3):
        world.deliver(where(world, Hop, A))
        told.lose(world, Receipt, silent)
        world.fire_next_timer()
    go_on(world, nobody_waits)  # the other has taken the second copy
    told.train(world, silent, 1)  # so the first one leaves, too
    go_on(world, nobody_waits)
    assert world.nodes[silent].stations[STREAM].highest.generation == 2
    told.train(world, other, 2)
    go_on(world, visits(silent, 2))
    go_on(world, lambda world: not world.under_way)


def back_with_state(told: Transcript) -> None:
    """A node comes back with its state."""
    back(told, with_state=True)


def back_empty(told: Transcript) -> None:
    """A node comes back empty."""
    back(told, with_state=False)


def back(told: Transcript, *, with_state: bool) -> None:
    world = ring_of_three(told)
    for node in (A, B, C):
        told.train(world, node, 2)
    go_on(world, passed_on(C))
    told.train(world, C, 1)  # the stream has left already: nobody else knows of this step
    told.crash(world, C)
    go_on(world, visits(A, 3))
    told.restart(world, C, with_state=with_state)
    told.train(world, C, 3)
    go_on(world, passed_on(C))


def two_shards(told: Transcript) -> None:
    """Two shards on a path: each has a stream, and the two are under way at once."""
    world = World(graph=nx.path_graph(2), shards=2, local_steps=1, watch=told.note)
    for node, steps in ((A, 2), (B, 3)):
        told.train(world, node, steps)
    go_on(world, nothing_moves)
    end(world)


def two_regions(told: Transcript) -> None:
    """Node 1 carries news from one region to the other; the session ends when all have it."""
    world = World(graph=nx.path_graph(3), regions=2, local_steps=1, watch=told.note)
    for node, steps in ((A, 4), (B, 2), (C, 3)):
        told.train(world, node, steps)
        go_on(world, nothing_moves)
    world.finish(B)
    world.finish(C)
    go_on(world, nothing_moves)  # node 1 waits for what node 0 may bring yet
    told.train(world, A, 1)
    world.finish(A)
    end(world)


def drift_correction(told: Transcript) -> None:
    """Rates travel: who has given its own gets a correction towards the mean of all."""
    world = World(graph=nx.path_graph(2), drift_correction=True, local_steps=1, watch=told.note)
    for node, steps in ((A, 19), (B, 20), (A, 1), (B, 20), (A, 1)):
        told.train(world, node, steps)
        go_on(world, nothing_moves)


def passing_through(told: Transcript) -> None:
    """Nodes 2 and 3 let a stream pass that does not visit them."""
    world = World(graph=nx.cycle_graph(4), regions=2, local_steps=1, watch=told.note)
    told.cut(world, A, B)
    told.train(world, A, 2)
    go_on(world, nothing_moves)
    told.train(world, B, 3)
    go_on(world, visits(A, 2))


def gate(told: Transcript) -> None:
    """Node 0 gives no more until it has heard of something newer than what it gave last."""
    world = World(graph=nx.path_graph(3), regions=2, local_steps=1, watch=told.note)
    for node in (B, C, A, B, A, B, A, C, B, A):
        told.train(world, node, 1)
        go_on(world, nothing_moves)


def nothing_moves(world: World) -> bool:
    """Whether each stream is held by the pace."""
    return not world.under_way


def end(world: World) -> None:
    """Let the session come to its end."""
    for node in set(world.members) - world.finished:
        world.finish(node)
    go_on(world, lambda world: all(n.closed for n in world.nodes.values()) and not world.under_way)
    world.work.check_end(list(world.nodes.values()))


STORIES = [
    quiet_session,
    holder_dies,
    receipt_lost,
    another_way,
    back_with_state,
    back_empty,
    two_shards,
    two_regions,
    drift_correction,
    passing_through,
    gate,
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_the_nodes_speak_as_they_did(
    story: Callable[[Transcript], None], update_golden: bool
) -> None:
    told = Transcript()
    story(told)
    text = "\n".join([f"# {story.__doc__}", "", *told.lines, ""])
    golden = Path(__file__).with_name(f"{story.__name__}.txt")
    if update_golden:
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
