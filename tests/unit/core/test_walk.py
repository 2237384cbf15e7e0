"""The tour: nearest unseen member first, over links that are not known to be dead."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.core.ids import Link, NodeId, link
from flwr_digest.core.stream import Tour
from flwr_digest.core.walk import Topology, next_hop, note_links, reachable, wander
from flwr_digest.topology.graphs import build_topology
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
    topology: Topology,
    start: NodeId,
    seed: int,
    dead: frozenset[Link] = frozenset(),
    members: frozenset[NodeId] | None = None,
) -> list[NodeId]:
    """Return the way of one tour; each holder notes its own dead links, and knows no other."""
    tour, holder, way = Tour(), start, [start]
    goals = frozenset(topology) if members is None else members
    while True:
        tour = replace(tour, seen=tour.seen | {holder})
        live = frozenset(p for p in topology[holder] if link(holder, p) not in dead)
        tour = note_links(tour, holder, topology[holder], live)
        peer = next_hop(topology, goals, holder, tour, (seed, len(way)))
        if peer is None:
            return way
        assert peer in live
        holder = peer
        way.append(holder)
        assert len(way) <= 4 * len(topology) ** 2, "the tour does not end"


def test_the_nearest_unseen_member_is_next() -> None:
    assert next_hop(PATH, frozenset(PATH), NodeId(1), seen(1, 2), KEY) == 0


def test_seen_members_are_passed_through_on_a_shortest_path() -> None:
    assert next_hop(PATH, frozenset(PATH), NodeId(1), seen(0, 1, 2), KEY) == 2
    assert (
        next_hop(RING, frozenset(RING), NodeId(0), seen(0, 1, 5, 4), KEY) == 1
    )  # 2 is two away, 3 is three


def test_of_equally_near_members_the_one_with_fewest_unseen_neighbors_is_next() -> None:
    graph: nx.Graph[int] = nx.Graph([(0, 1), (0, 2), (2, 3), (2, 4)])
    topology = topology_of(graph)
    members = frozenset(topology)
    assert {next_hop(topology, members, A, seen(0), (seed,)) for seed in range(20)} == {1}
    only_two = frozenset({A, B, NodeId(2)})  # 3 and 4 are no members: there is nobody behind 2
    assert {next_hop(topology, only_two, A, seen(0), (seed,)) for seed in range(20)} == {1, 2}


def test_tours_of_a_small_world_hardly_pass_anyone_twice() -> None:
    graph = build_topology("small-world", range(64), seed=1)
    topology = {NodeId(node): frozenset(map(NodeId, near)) for node, near in graph.items()}
    lengths = [len(walk_a_tour(topology, A, seed)) - 1 for seed in range(40)]
    assert sum(lengths) / len(lengths) < 1.06 * (64 - 1)  # measured 1.03; by chance alone 1.20


def test_a_tour_is_over_when_all_are_seen() -> None:
    assert next_hop(TRIANGLE, frozenset(TRIANGLE), A, seen(0, 1, 2), KEY) is None


def test_dead_links_are_avoided() -> None:
    tour = Tour(seen=frozenset({A}), dead_links=frozenset({link(A, B)}))
    assert next_hop(TRIANGLE, frozenset(TRIANGLE), A, tour, KEY) == C


def test_a_tour_is_over_when_the_rest_cannot_be_reached() -> None:
    cut = frozenset({link(NodeId(2), NodeId(3))})
    tour = replace(seen(0, 1, 2), dead_links=cut)
    assert next_hop(PATH, frozenset(PATH), NodeId(2), tour, KEY) is None
    assert reachable(PATH, NodeId(2), cut) == {0, 1, 2}


def test_ties_are_decided_by_the_key_alone() -> None:
    star = topology_of(nx.star_graph(8))
    drawn = [next_hop(star, frozenset(star), A, seen(0), (seed,)) for seed in range(100)]
    assert drawn == [next_hop(star, frozenset(star), A, seen(0), (seed,)) for seed in range(100)]
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


# --- a region: not all nodes are members ---------------------------------------------------------


def region(*nodes: int) -> frozenset[NodeId]:
    return frozenset(map(NodeId, nodes))


def test_the_way_may_lead_through_nodes_that_are_no_members() -> None:
    members = region(0, 4)
    assert next_hop(PATH, members, NodeId(0), seen(0), KEY) == 1
    assert next_hop(PATH, members, NodeId(1), seen(0), KEY) == 2  # at a node on the way
    assert next_hop(PATH, members, NodeId(4), seen(0, 4), KEY) is None


def test_nodes_that_are_no_members_are_no_goals() -> None:
    assert next_hop(TRIANGLE, region(0, 2), A, seen(0), KEY) == C
    assert next_hop(TRIANGLE, region(0), A, seen(0), KEY) is None


def test_a_way_through_others_avoids_dead_links() -> None:
    members, cut = region(0, 3), frozenset({link(NodeId(1), NodeId(2))})
    tour = replace(seen(0), dead_links=cut)
    assert next_hop(RING, members, NodeId(0), tour, KEY) == 5
    assert next_hop(PATH, members, NodeId(0), tour, KEY) is None


def test_what_can_be_reached_is_reached_through_anyone() -> None:
    assert reachable(PATH, NodeId(2), frozenset()) == set(PATH)
    cut = frozenset({link(NodeId(0), NodeId(1)), link(NodeId(3), NodeId(4))})
    assert reachable(PATH, NodeId(2), cut) == {1, 2, 3}
    assert reachable(PATH, NodeId(0), cut) == {0}


# --- random walks --------------------------------------------------------------------------------

STAR = topology_of(nx.star_graph(4))  # node 0 has 4 neighbors, the others have 1
DRAWS = 4000


def shares(topology: Topology, holder: int, *, metropolis: bool) -> dict[int, float]:
    """Return how often a random walk goes where, over many keys."""
    everyone, counts = frozenset(topology), Counter[int]()
    for key in range(DRAWS):
        peer = wander(topology, everyone, NodeId(holder), Tour(), (7, key), metropolis=metropolis)
        assert peer is not None
        counts[peer] += 1
    return {node: count / DRAWS for node, count in counts.items()}


def test_a_random_walk_goes_to_all_neighbors_equally_often() -> None:
    assert shares(STAR, 0, metropolis=False) == pytest.approx(
        dict.fromkeys(range(1, 5), 0.25), abs=0.03
    )
    assert shares(STAR, 3, metropolis=False) == {0: 1.0}


def test_a_metropolis_walk_goes_to_busier_nodes_less_often_and_stays_instead() -> None:
    assert shares(STAR, 3, metropolis=True) == pytest.approx({0: 0.25, 3: 0.75}, abs=0.03)


def test_a_metropolis_walk_always_goes_to_nodes_that_are_less_busy() -> None:
    assert shares(STAR, 0, metropolis=True) == pytest.approx(
        dict.fromkeys(range(1, 5), 0.25), abs=0.03
    )


def visits_of_a_walk(topology: Topology, *, metropolis: bool) -> dict[int, float]:
    """Return which share of a long walk was spent at each node."""
    everyone, counts, holder = frozenset(topology), Counter[int](), A
    for hop in range(4 * DRAWS):
        peer = wander(topology, everyone, holder, Tour(), (7, hop), metropolis=metropolis)
        assert peer is not None
        holder = peer
        counts[holder] += 1
    return {node: count / (4 * DRAWS) for node, count in counts.items()}


def test_in_the_long_run_a_metropolis_walk_visits_all_nodes_equally_often() -> None:
    lollipop = topology_of(nx.lollipop_graph(3, 2))
    equal = pytest.approx(dict.fromkeys(range(5), 0.2), abs=0.03)
    assert visits_of_a_walk(lollipop, metropolis=True) == equal
    by_degree = {node: len(near) / 10 for node, near in lollipop.items()}
    assert visits_of_a_walk(lollipop, metropolis=False) == pytest.approx(by_degree, abs=0.03)


def test_a_walk_is_decided_by_its_key() -> None:
    again = [shares(STAR, 3, metropolis=True) for _ in range(2)]
    assert again[0] == again[1]


def test_a_walk_goes_to_members_alone() -> None:
    members = region(0, 2, 4)
    for metropolis in (False, True):
        found = {
            wander(STAR, members, A, Tour(), (key,), metropolis=metropolis) for key in range(100)
        }
        assert found == {2, 4}


def test_degrees_are_counted_among_members() -> None:
    members = region(0, 3)  # so both have one neighbor, and neither is the busier
    found = {wander(STAR, members, NodeId(3), Tour(), (key,), metropolis=True) for key in range(99)}
    assert found == {0}


def test_a_walk_avoids_dead_links_and_needs_a_member_next_to_it() -> None:
    tour = Tour(dead_links=frozenset({link(A, B)}))
    assert {
        wander(TRIANGLE, frozenset(TRIANGLE), A, tour, (k,), metropolis=False) for k in range(99)
    } == {C}
    assert wander(TRIANGLE, region(0, 1), A, tour, KEY, metropolis=False) is None
    assert wander(PATH, region(0, 4), NodeId(0), Tour(), KEY, metropolis=True) is None


# --- all graphs ----------------------------------------------------------------------------------


@st.composite
def regions_of_graphs(draw: st.DrawFn) -> tuple[nx.Graph[int], frozenset[NodeId]]:
    """Connected graphs, and some of their nodes, which need not hang together."""
    graph = draw(connected_graphs())
    return graph, frozenset(map(NodeId, draw(st.sets(st.sampled_from(sorted(graph)), min_size=1))))


@given(drawn=regions_of_graphs(), seed=st.integers(0, 2**32))
def test_every_tour_of_a_region_sees_its_members(
    drawn: tuple[nx.Graph[int], frozenset[NodeId]], seed: int
) -> None:
    graph, members = drawn
    way = walk_a_tour(topology_of(graph), min(members), seed, members=members)
    assert members <= set(way)
    assert way[-1] in members


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
