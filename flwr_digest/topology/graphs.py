"""Who is linked with whom: a named graph or one from a file, for the nodes that there are."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import networkx as nx

from flwr_digest.errors import ConfigError
from flwr_digest.topology.graph_files import check_graph_file, graph_file, read_graph
from flwr_digest.topology.makers import TOPOLOGIES

__all__ = ["TOPOLOGIES", "build_topology", "check_topology_name"]


def check_topology_name(name: str) -> None:
    """Check that there is such a graph: one of `TOPOLOGIES`, or a file.

    Raises
    ------
    ConfigError
        Neither; for a name, the text suggests the nearest.
    """
    if name in TOPOLOGIES:
        return
    if graph_file(name) is not None:
        check_graph_file(name)
        return
    near = get_close_matches(name, TOPOLOGIES, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(
        f"topology={name!r} is unknown: choose from {sorted(TOPOLOGIES)} or 'file:PATH'{hint}"
    )


def build_topology(name: str, nodes: Sequence[int], seed: int) -> dict[int, frozenset[int]]:
    """Return for each node its neighbors.

    Parameters
    ----------
    name : str
        One of `TOPOLOGIES`, or a file as `flwr_digest.topology.graph_files` reads it.
    nodes : sequence of int
        The nodes; their order does not matter. Lowest first, they take the places of the graph:
        the lowest is the center of a star, and a grid is filled row by row.
    seed : int
        Decides where random graphs have their links.

    Returns
    -------
    dict of int to frozenset of int
        Symmetric, connected, without loops.

    Raises
    ------
    ConfigError
        Unknown name, no nodes, a node twice, a count of nodes that the graph cannot have, or a
        file that is not a connected graph of as many nodes.
    """
    check_topology_name(name)
    ranked = sorted(set(nodes))
    if not ranked or len(ranked) != len(nodes):
        raise ConfigError(f"a topology needs different nodes, at least one; got {list(nodes)}")
    maker = TOPOLOGIES.get(name)
    graph = maker(len(ranked), seed) if maker else read_graph(name, len(ranked))
    graph = nx.relabel_nodes(graph, dict(enumerate(ranked)))
    return {node: frozenset(graph[node]) for node in ranked}
