"""Topologies that the tests of this folder share."""

from __future__ import annotations

import networkx as nx
from hypothesis import strategies as st

Topology = dict[int, frozenset[int]]

FLOWER_IDS = st.integers(0, 2**64 - 1)


def topology_of(graph: nx.Graph[int]) -> Topology:
    return {node: frozenset(graph[node]) for node in sorted(graph)}


@st.composite
def connected_topologies(draw: st.DrawFn, max_size: int = 24) -> Topology:
    """Random trees with a few more links."""
    names = sorted(draw(st.sets(FLOWER_IDS, min_size=1, max_size=max_size)))
    places = st.integers(0, len(names) - 1)
    links = [(draw(st.integers(0, place - 1)), place) for place in range(1, len(names))]
    links += draw(st.lists(st.tuples(places, places), max_size=len(names)))
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(names)
    graph.add_edges_from((names[one], names[other]) for one, other in links if one != other)
    return topology_of(graph)
