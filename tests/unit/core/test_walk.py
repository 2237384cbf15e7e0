"""The tour: nearest unseen member first, over links that are not known to be dead."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.core.ids import Link, NodeId, link
from flwr_digest.core.stream import Tour
from flwr_digest.core.walk import Topology, next_hop, note_links, reachable
from tests.unit.core.builders import TRIANGLE, A, B, C, topology_of

PATH = topology_of(nx.path_graph(5))
RING = topology_of(nx.cycle_graph(6))
KEY = (0, 0, 0)


def seen(*nodes: int) -> Tour:
    return Tour(seen=frozenset(map(NodeId, nodes)))


@st.composite
def connected_graphs(draw: st.DrawFn) -> nx.Graph[int]:
    """Random trees with a few more links."""
    count = draw(st.integers(2, 12))
    edges = {(draw(st.integers(0, node - 1)), node) for node in range(1, count)}
    anyone = st.integers(0, count - 1)
    more = draw(st.lists(st.tuples(anyone, anyone), max_size=count))
    graph: nx.Graph[int] = nx.Graph(edges)
    graph.add_edges_from((one, other) for one, other in more if one != other)
    return graph


def walk_a_tour(
    topology: Topology, start: NodeId, seed: int, dead: frozenset[Link] = frozenset()
) -> list[NodeId]:
    """Return the way of one tour; each holder notes its own dead links, and knows no other."""
    tour, holder, way = Tour(), start, [start]
    while True:
        tour = replace(tour, seen=tour.seen | {holder})
        live = frozenset(p for p in topology[holder] if link(holder, p) not in dead)
        tour = note_links(tour, holder, topology[holder], live)
        peer = next_hop(topology, holder, tour, (seed, len(way)))
        if peer is None:
            return way
        assert peer in live
        holder = peer
        way.append(holder)
        assert len(way) <= 4 * len(topology) ** 2, "the tour does not end"


def test_the_nearest_unseen_member_is_next() -> None:
    assert next_hop(PATH, NodeId(1), seen(1, 2), KEY) == 0


def test_seen_members_are_passed_through_on_a_shortest_path() -> None:
    assert next_hop(PATH, NodeId(1), seen(0, 1, 2), KEY) == 2
    assert next_hop(RING, NodeId(0), seen(0, 1, 5, 4), KEY) == 1  # 2 is two away, 3 is three


def test_a_tour_is_over_when_all_are_seen() -> None:
    assert next_hop(TRIANGLE, A, seen(0, 1, 2), KEY) is None


def test_dead_links_are_avoided() -> None:
    tour = Tour(seen=frozenset({A}), dead_links=frozenset({link(A, B)}))
    assert next_hop(TRIANGLE, A, tour, KEY) == C


def test_a_tour_is_over_when_the_rest_cannot_be_reached() -> None:
    cut = frozenset({link(NodeId(2), NodeId(3))})
    tour = replace(seen(0, 1, 2), dead_links=cut)
    assert next_hop(PATH, NodeId(2), tour, KEY) is None
    assert reachable(PATH, NodeId(2), cut) == {0, 1, 2}


def test_ties_are_decided_by_the_key_alone() -> None:
    star = topology_of(nx.star_graph(8))
    drawn = [next_hop(star, A, seen(0), (seed,)) for seed in range(100)]
    assert drawn == [next_hop(star, A, seen(0), (seed,)) for seed in range(100)]
    assert set(drawn) == set(range(1, 9))


def test_a_holder_notes_its_dead_links_and_clears_those_that_live_again() -> None:
    others, stale = link(B, C), link(A, B)
    tour = Tour(dead_links=frozenset({others, stale}))
    noted = note_links(tour, A, frozenset({B, C}), live=frozenset({B}))
    assert noted.dead_links == {others, link(A, C)}


def test_two_neighbors_of_a_lost_node_do_not_play_ping_pong() -> None:
    lost = NodeId(3)
    dead = frozenset(link(lost, peer) for peer in RING[lost])
    way = walk_a_tour(RING, NodeId(2), seed=1, dead=dead)
    assert set(way) == set(RING) - {lost}
    assert way == [2, 1, 0, 5, 4]


@pytest.mark.parametrize("start", range(5))
def test_the_ends_of_a_path_cost_one_way_back(start: int) -> None:
    assert len(walk_a_tour(PATH, NodeId(start), seed=0)) <= 5 + 4


@given(graph=connected_graphs(), seed=st.integers(0, 2**32))
def test_every_tour_sees_each_member_before_it_is_over(graph: nx.Graph[int], seed: int) -> None:
    assert set(walk_a_tour(topology_of(graph), A, seed)) == set(graph)


@given(graph=connected_graphs(), seed=st.integers(0, 2**32))
def test_a_member_is_met_again_only_on_the_way_to_the_nearest_unseen(
    graph: nx.Graph[int], seed: int
) -> None:
    way = walk_a_tour(topology_of(graph), A, seed)
    for index in range(1, len(way)):
        met = set(way[:index])
        distances = nx.single_source_shortest_path_length(graph, way[index - 1])
        nearer = nx.single_source_shortest_path_length(graph, way[index])
        nearest = min(distances[node] for node in graph if node not in met)
        assert any(nearer[node] == nearest - 1 for node in graph if node not in met)


@given(graph=connected_graphs(), seed=st.integers(0, 2**32), data=st.data())
def test_with_dead_links_a_tour_ends_and_sees_all_that_can_be_reached(
    graph: nx.Graph[int], seed: int, data: st.DataObject
) -> None:
    links = [link(NodeId(one), NodeId(other)) for one, other in sorted(graph.edges)]
    dead = frozenset(data.draw(st.sets(st.sampled_from(links))))
    topology = topology_of(graph)
    assert set(walk_a_tour(topology, A, seed, dead)) == reachable(topology, A, dead)
