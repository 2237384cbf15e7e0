"""Every named graph: connected, symmetric, without loops, and the same for the same seed."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.errors import ConfigError
from flwr_digest.topology import TOPOLOGIES, build_topology

NAMES = sorted(TOPOLOGIES)
FLOWER_IDS = st.integers(0, 2**64 - 1)


@given(
    name=st.sampled_from(NAMES),
    nodes=st.sets(FLOWER_IDS, min_size=1, max_size=40),
    seed=st.integers(-(2**31), 2**63),
)
def test_connected_symmetric_and_without_loops(name: str, nodes: set[int], seed: int) -> None:
    topology = build_topology(name, list(nodes), seed)
    assert topology.keys() == nodes
    for node, near in topology.items():
        assert node not in near
        assert all(node in topology[peer] for peer in near)
    assert nx.is_connected(nx.Graph((a, b) for a, near in topology.items() for b in {a, *near}))


@given(name=st.sampled_from(NAMES), nodes=st.permutations(range(12)), seed=st.integers(0, 99))
def test_the_same_for_any_order_of_the_nodes(name: str, nodes: list[int], seed: int) -> None:
    assert build_topology(name, nodes, seed) == build_topology(name, sorted(nodes), seed)


@pytest.mark.parametrize("name", NAMES)
def test_one_node_is_alone_and_two_are_linked(name: str) -> None:
    assert build_topology(name, [7], seed=0) == {7: frozenset()}
    assert build_topology(name, [7, 3], seed=0) == {3: frozenset({7}), 7: frozenset({3})}


def test_a_ring_has_two_neighbors_each() -> None:
    assert {len(near) for near in build_topology("ring", range(9), seed=1).values()} == {2}


def test_complete_is_everyone_with_everyone() -> None:
    assert {len(near) for near in build_topology("complete", range(9), seed=1).values()} == {8}


@pytest.mark.parametrize("count", [3, 4, 5])
def test_a_small_small_world_is_complete(count: int) -> None:
    nodes = range(count)
    assert build_topology("small-world", nodes, 0) == build_topology("complete", nodes, 0)


@pytest.mark.parametrize("count", [6, 10, 50])
def test_a_small_world_has_two_links_a_node_and_depends_on_the_seed(count: int) -> None:
    worlds = [build_topology("small-world", range(count), seed) for seed in range(8)]
    assert {sum(map(len, world.values())) for world in worlds} == {4 * count}
    assert len({tuple(sorted((n, *sorted(near)) for n, near in w.items())) for w in worlds}) > 1
    assert worlds[3] == build_topology("small-world", range(count), 3)


@pytest.mark.parametrize(
    ("name", "meant"), [("rng", "ring"), ("smallworld", "small-world"), ("compleet", "complete")]
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_topology(name, [1, 2], seed=0)
    line = str(caught.value)
    assert f"topology={name!r} is unknown" in line
    assert line.endswith(f"did you mean {meant!r}?")
    assert "\n" not in line


def test_a_name_near_none_is_answered_with_all() -> None:
    with pytest.raises(ConfigError, match=r"choose from .*complete.*ring.*small-world") as caught:
        build_topology("torus", [1, 2], seed=0)
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("nodes", [[], [1, 1]])
def test_no_nodes_or_one_twice_is_refused(nodes: list[int]) -> None:
    with pytest.raises(ConfigError, match="different nodes, at least one"):
        build_topology("ring", nodes, seed=0)
