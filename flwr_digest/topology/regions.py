"""Regions: which nodes each stream visits, when there are several streams.

Each region is a part of one spanning tree of the topology, and two regions share nodes but never
a link of the tree. The nodes in two or more regions are the gateways: there one stream takes in
what another has brought. As the parts come from one tree, the graph "regions - gateways" is a
tree as well. News that has left a region can never come back to it by another way, so nothing is
counted twice. With as many regions as the tree has links, each region is one link, which is
RelaySum's way of spreading news (Vogels et al. 2021, arXiv 2110.04175).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import networkx as nx
import numpy as np

from flwr_digest.errors import ConfigError
from flwr_digest.topology.checks import as_graph
from flwr_digest.topology.seeded import Purpose, generator
from flwr_digest.topology.tree_cut import Tree, cut

TREES_TRIED = 8
"""Spanning trees to choose the most even cut from. Measured at 64 nodes: on small-world and grid
one tree's largest region is up to a third above the ideal, the best of 8 at most one link."""


def split_into_regions(
    topology: Mapping[int, frozenset[int]], regions: int, seed: int = 0
) -> tuple[frozenset[int], ...]:
    """Cut a spanning tree of the topology into parts with nearly the same number of links.

    The tree is a breadth-first one from a center, so that ways are short: the best of
    `TREES_TRIED` that differ in what `seed` decides, the center and whose child a node is.
    In a dense topology such a tree is close to a star, and its center is in most regions.

    Parameters
    ----------
    topology : mapping of int to frozenset of int
        For each node its neighbors: symmetric, connected, without loops.
    regions : int
        How many; from 1 (all nodes in one) to the number of nodes - 1 (each region one link).
    seed : int
        Decides between trees.

    Returns
    -------
    tuple of frozenset of int
        The nodes of each region, two or more unless the topology has only one; in sorted order.

    Raises
    ------
    ConfigError
        `regions` is below 1 or above what the topology allows, or the topology is not one.
    """
    graph = as_graph(topology)
    most = max(len(graph) - 1, 1)
    if not 1 <= regions <= most:
        nodes = "1 node" if len(graph) == 1 else f"{len(graph)} nodes"
        raise ConfigError(f"regions={regions}: it must be 1 to {most} for a topology of {nodes}")
    if regions == 1:
        return (frozenset(graph),)
    rng, centers = generator(seed, Purpose.REGIONS), sorted(nx.center(graph))
    cuts = (cut(_spanning_tree(graph, centers, rng), regions) for _ in range(TREES_TRIED))
    parts = min(cuts, key=_unevenness)
    return tuple(sorted((frozenset({*part, *part.values()}) for part in parts), key=sorted))


def gateways(regions: Sequence[frozenset[int]]) -> dict[int, frozenset[int]]:
    """Return for each node that is in two or more regions the indices of these regions."""
    found = _regions_of(regions)
    return {node: frozenset(within) for node, within in found.items() if len(within) > 1}


def check_regions(
    topology: Mapping[int, frozenset[int]], regions: Sequence[frozenset[int]]
) -> None:
    """Check that streams can visit these regions without counting anything twice.

    Raises
    ------
    ConfigError
        A node is in no region, or a region's node not in the topology; a region is empty or not
        connected by links between its own nodes; or the graph "regions - gateways" is not a tree.
    """
    graph = as_graph(topology)
    covered = set().union(*regions)
    if covered != set(graph):
        node = min(covered ^ set(graph))
        where = "the topology" if node in covered else "any region"
        raise ConfigError(f"regions: node {node} is not in {where}")
    for index, region in enumerate(regions):
        if not region or not nx.is_connected(graph.subgraph(region)):
            raise ConfigError(
                f"regions: region {index} is not connected by links of its own: {sorted(region)}"
            )
    _check_tree(regions)


def _check_tree(regions: Sequence[frozenset[int]]) -> None:
    """Raise unless the graph "regions - gateways" is a tree."""
    places = sorted(gateways(regions).items())
    graph: nx.Graph[tuple[str, int]] = nx.Graph()
    graph.add_nodes_from(("region", index) for index in range(len(regions)))
    graph.add_edges_from(
        (("region", index), ("node", node)) for node, within in places for index in sorted(within)
    )
    ends = sorted(
        min(i for kind, i in part if kind == "region") for part in nx.connected_components(graph)
    )
    if len(ends) > 1:
        raise ConfigError(f"regions: no gateways lead from region {ends[0]} to region {ends[1]}")
    if not nx.is_tree(graph):
        circle = sorted(i for (kind, i), _ in nx.find_cycle(graph) if kind == "region")
        raise ConfigError(
            f"regions: news can go around in a circle through regions {circle}, and would be "
            "counted twice: two regions may share one node, and only one way may lead between them"
        )


def _regions_of(regions: Sequence[frozenset[int]]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {node: set() for node in sorted(frozenset().union(*regions))}
    for index, region in enumerate(regions):
        for node in region:
            found[node].add(index)
    return found


def _spanning_tree(graph: nx.Graph[int], centers: Sequence[int], rng: np.random.Generator) -> Tree:
    rank = dict(zip(graph, rng.permutation(len(graph)), strict=True))
    root = centers[int(rng.integers(len(centers)))]
    links = nx.bfs_edges(
        graph, root, sort_neighbors=lambda near: sorted(near, key=rank.__getitem__)
    )
    return {node: parent for parent, node in links}


def _unevenness(parts: Sequence[Tree]) -> tuple[int, int]:
    """Return what to keep low: the largest part first, then how far the smallest is below."""
    return max(map(len, parts)), -min(map(len, parts))
