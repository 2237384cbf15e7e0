"""What is not a topology is refused, with the nodes that show it."""

from __future__ import annotations

import pytest
from hypothesis import given

from flwr_digest.errors import ConfigError
from flwr_digest.topology.checks import as_graph
from tests.unit.topology.builders import Topology, connected_topologies, topology_of


@given(topology=connected_topologies())
def test_the_graph_has_the_topology_s_nodes_and_links(topology: Topology) -> None:
    graph = as_graph(topology)
    assert list(graph) == sorted(topology)
    assert topology_of(graph) == topology


@pytest.mark.parametrize(
    ("links", "line"),
    [
        ({}, "a topology needs at least one node"),
        ({1: {1}}, "node 1 has 1 as a neighbor"),
        ({1: {2}, 2: set()}, "node 1 has 2 as a neighbor"),
        ({1: {2}}, "node 1 has 2 as a neighbor"),
        ({1: {2}, 2: {1}, 3: set()}, "there is no way between nodes 1 and 3"),
    ],
)
def test_what_is_not_a_topology_is_refused(links: dict[int, set[int]], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        as_graph({node: frozenset(near) for node, near in links.items()})
