"""What a node concludes from the loss of a link."""

from __future__ import annotations

import networkx as nx

from flwr_digest.core.ids import NodeId
from flwr_digest.core.station import Station
from tests.support.world import STREAM, World

A, B, C = map(NodeId, range(3))
SOON_SECONDS = 5.0  # a wait for a receipt; the wait for a lost stream is 30 s


def at(world: World, node: NodeId) -> Station:
    return world.nodes[node].stations[STREAM]


def test_a_hop_on_a_link_that_dies_goes_another_way_at_once() -> None:
    world = World(graph=nx.cycle_graph(3))
    out = at(world, A).outbound
    assert out is not None
    other = B if out.peer == C else C

    world.cut(A, out.peer)

    again = at(world, A).outbound
    assert again is not None
    assert again.peer == other
    assert at(world, A).counters.reroutes == 1
    assert world.now == 0.0


def test_a_stream_that_died_with_its_holder_is_missed_soon() -> None:
    world = World(graph=nx.cycle_graph(3), local_steps=5)
    world.train(A, 5)
    while not (at(world, B).held or at(world, C).held):  # where its first tour has ended
        world.deliver()
    holder, sender = (B, C) if at(world, B).held else (C, B)
    while at(world, sender).outbound is not None:
        world.deliver()

    world.crash(holder)
    while at(world, sender).counters.reissues == 0:
        assert world.now < SOON_SECONDS
        if world.under_way:
            world.deliver()
        else:
            world.fire_next_timer()

    world.finish_session()
