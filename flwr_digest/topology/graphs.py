"""Named graphs, seeded and always connected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

import networkx as nx

from flwr_digest.errors import ConfigError

Maker = Callable[[int, int], "nx.Graph[int]"]


def _ring(count: int, seed: int) -> nx.Graph[int]:
    """Each node with two neighbors: the fewest links, and one may break."""
    graph: nx.Graph[int] = nx.cycle_graph(count) if count > 2 else nx.path_graph(count)
    return graph


def _complete(count: int, seed: int) -> nx.Graph[int]:
    """Each node with every other."""
    graph: nx.Graph[int] = nx.complete_graph(count)
    return graph


def _small_world(count: int, seed: int) -> nx.Graph[int]:
    """Watts and Strogatz (1998): a ring of four neighbors each, three in ten links rewired.

    Both figures are those that DIGEST's measurements here were made with. Up to five nodes, four
    neighbors each are all there are.
    """
    if count <= 5:
        return _complete(count, seed)
    graph: nx.Graph[int] = nx.connected_watts_strogatz_graph(
        count, k=4, p=0.3, tries=1000, seed=seed
    )
    return graph


TOPOLOGIES: Mapping[str, Maker] = {
    "ring": _ring,
    "small-world": _small_world,
    "complete": _complete,
}


def check_topology_name(name: str) -> None:
    """Raise `ConfigError` for a name that is not in `TOPOLOGIES`, with the nearest that is."""
    if name in TOPOLOGIES:
        return
    near = get_close_matches(name, TOPOLOGIES, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"topology={name!r} is unknown: choose from {sorted(TOPOLOGIES)}{hint}")


def build_topology(name: str, nodes: Sequence[int], seed: int) -> dict[int, frozenset[int]]:
    """Return for each node its neighbors.

    Parameters
    ----------
    name : str
        One of `TOPOLOGIES`.
    nodes : sequence of int
        The nodes; their order does not matter.
    seed : int
        Decides where random graphs have their links.

    Returns
    -------
    dict of int to frozenset of int
        Symmetric, connected, without loops.

    Raises
    ------
    ConfigError
        Unknown name, no nodes, or a node twice.
    """
    check_topology_name(name)
    ranked = sorted(set(nodes))
    if not ranked or len(ranked) != len(nodes):
        raise ConfigError(f"a topology needs different nodes, at least one; got {list(nodes)}")
    graph = nx.relabel_nodes(TOPOLOGIES[name](len(ranked), seed), dict(enumerate(ranked)))
    return {node: frozenset(graph[node]) for node in ranked}
