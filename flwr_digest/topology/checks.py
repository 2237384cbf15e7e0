"""What must hold for every topology, whoever made it: symmetric, without loops, connected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import networkx as nx

from flwr_digest.errors import ConfigError

Name = TypeVar("Name", int, str)


def as_graph(topology: Mapping[int, frozenset[int]]) -> nx.Graph[int]:
    """Return the topology as an undirected graph, its nodes and links in sorted order.

    Raises
    ------
    ConfigError
        No nodes; a node that is its own neighbor; a link that only one of its ends has, or that
        leads to an unknown node; or two nodes without a way between them.
    """
    if not topology:
        raise ConfigError("a topology needs at least one node")
    links = [(node, peer) for node in sorted(topology) for peer in sorted(topology[node])]
    for node, peer in links:
        if node == peer or node not in topology.get(peer, ()):
            raise ConfigError(
                f"node {node} has {peer} as a neighbor: it must be another node of the topology, "
                f"with {node} among its own neighbors"
            )
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(sorted(topology))
    graph.add_edges_from(links)
    check_connected(graph, "the topology")
    return graph


def check_connected(graph: nx.Graph[Name], what: str) -> None:
    """Raise `ConfigError` that names two nodes of `what` without a way between them, if any."""
    ends = sorted(min(component) for component in nx.connected_components(graph))
    if len(ends) > 1:
        raise ConfigError(f"{what}: there is no way between nodes {ends[0]!r} and {ends[1]!r}")
