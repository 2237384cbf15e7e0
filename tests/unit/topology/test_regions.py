"""Regions: they cover all nodes, are connected, even, and no news can go around in a circle."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.errors import ConfigError
from flwr_digest.topology import (
    TOPOLOGIES,
    build_topology,
    check_regions,
    gateways,
    split_into_regions,
)
from tests.unit.topology.builders import Topology, connected_topologies, topology_of

RING = topology_of(nx.cycle_graph(6))


def split(name: str, count: int, seed: int = 0) -> tuple[frozenset[int], ...]:
    topology = build_topology(name, range(64), seed)
    regions = split_into_regions(topology, count, seed)
    check_regions(topology, regions)
    return regions


def refusal(topology: Topology, *regions: set[int]) -> str:
    with pytest.raises(ConfigError) as caught:
        check_regions(topology, [frozenset(region) for region in regions])
    line = str(caught.value)
    assert "\n" not in line
    return line


@given(data=st.data(), topology=connected_topologies(), seed=st.integers(-9, 2**63))
def test_any_topology_can_be_split_into_any_count(
    data: st.DataObject, topology: Topology, seed: int
) -> None:
    count = data.draw(st.integers(1, max(len(topology) - 1, 1)))
    regions = split_into_regions(topology, count, seed)
    assert len(regions) == count
    check_regions(topology, regions)
    assert sum(len(region) - 1 for region in regions) == len(topology) - 1
    assert regions == split_into_regions(dict(reversed(topology.items())), count, seed)


@pytest.mark.parametrize("name", sorted(TOPOLOGIES))
@pytest.mark.parametrize("count", [1, 4, 16, 63])
def test_every_named_topology_can_be_split(name: str, count: int) -> None:
    assert len(split(name, count)) == count


def test_one_region_has_all_nodes() -> None:
    assert split_into_regions(RING, 1) == (frozenset(range(6)),)
    assert split_into_regions({7: frozenset()}, 1) == (frozenset({7}),)


def test_as_many_regions_as_the_tree_has_links_are_one_link_each() -> None:
    regions = split("small-world", 63)
    topology = build_topology("small-world", range(64), 0)
    for one, other in regions:
        assert other in topology[one]


@pytest.mark.parametrize("name", ["ring", "grid", "star", "complete", "torus"])
@pytest.mark.parametrize(("count", "largest"), [(4, 16), (16, 4), (63, 1)])
def test_the_largest_region_is_as_small_as_can_be(name: str, count: int, largest: int) -> None:
    assert max(len(region) - 1 for region in split(name, count)) == largest


@pytest.mark.parametrize("name", ["small-world", "random-regular", "erdos-renyi"])
@pytest.mark.parametrize(("count", "largest"), [(4, 18), (16, 5), (63, 1)])
@pytest.mark.parametrize("seed", range(4))
def test_the_largest_region_of_a_random_topology_is_not_much_larger(
    name: str, count: int, largest: int, seed: int
) -> None:
    assert max(len(region) - 1 for region in split(name, count, seed)) <= largest


def test_the_seed_decides_the_tree() -> None:
    grid = build_topology("grid", range(36), 0)
    assert len({split_into_regions(grid, 5, seed) for seed in range(4)}) > 1


@pytest.mark.parametrize(
    ("topology", "count", "line"),
    [
        (RING, 0, "regions=0: it must be 1 to 5 for a topology of 6 nodes"),
        (RING, -1, "regions=-1: it must be 1 to 5 for a topology of 6 nodes"),
        (RING, 6, "regions=6: it must be 1 to 5 for a topology of 6 nodes"),
        ({7: frozenset()}, 2, "regions=2: it must be 1 to 1 for a topology of 1 node"),
    ],
)
def test_too_many_regions_or_none_are_refused(topology: Topology, count: int, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        split_into_regions(topology, count)
    assert str(caught.value) == line


def test_what_is_not_connected_cannot_be_split() -> None:
    with pytest.raises(ConfigError, match="there is no way between nodes 1 and 2"):
        split_into_regions({1: frozenset(), 2: frozenset()}, 1)


def test_gateways_are_the_nodes_in_two_or_more_regions() -> None:
    regions = [frozenset({0, 1, 2}), frozenset({2, 3}), frozenset({2, 4}), frozenset({4, 5})]
    assert gateways(regions) == {2: frozenset({0, 1, 2}), 4: frozenset({2, 3})}
    assert gateways(regions[:1]) == {}
    assert gateways([]) == {}


def test_a_node_in_no_region_is_refused() -> None:
    assert refusal(RING, {0, 1, 2}, {2, 3, 4}) == "regions: node 5 is not in any region"
    assert refusal(RING) == "regions: node 0 is not in any region"


def test_a_node_that_is_not_in_the_topology_is_refused() -> None:
    assert refusal(RING, {0, 1, 2, 3, 4, 5, 6}) == "regions: node 6 is not in the topology"


def test_a_region_that_is_not_connected_is_refused() -> None:
    line = "regions: region 1 is not connected by links of its own: [0, 3, 5]"
    assert refusal(RING, {0, 1, 2, 3, 4}, {0, 3, 5}) == line
    line = "regions: region 1 is not connected by links of its own: []"
    assert refusal(RING, set(range(6)), set()) == line


def test_regions_without_gateways_between_them_are_refused() -> None:
    line = "regions: no gateways lead from region 0 to region 1"
    assert refusal(RING, {0, 1, 2}, {3, 4, 5}) == line


def test_regions_that_form_a_circle_are_refused() -> None:
    circle = "regions: news can go around in a circle through regions {}, and would be counted"
    assert refusal(RING, {0, 1, 2}, {2, 3, 4}, {4, 5, 0}).startswith(circle.format([0, 1, 2]))
    assert refusal(RING, {5}, {0, 1, 2, 3}, {3, 4, 5, 0}).startswith(circle.format([1, 2]))
