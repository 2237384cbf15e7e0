"""The named graphs, one function each: from a count of nodes and a seed to a connected graph.

A maker links the nodes 0, 1, ... `count` - 1. Its graph is simple, and the same for the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isqrt, log

import networkx as nx

from flwr_digest.errors import ConfigError
from flwr_digest.topology.seeded import Purpose, generator

Maker = Callable[[int, int], "nx.Graph[int]"]

ATTEMPTS = 100
"""Random graphs to draw until one is connected. A guess, and ample: of the random graphs here, the
least likely to be connected is erdos-renyi with two nodes, 0.69 (its edge probability)."""

REGULAR_DEGREE = 4
"""Neighbors of each node in random-regular: as many as in small-world, so that the two compare."""


def _path(count: int, seed: int) -> nx.Graph[int]:
    """One line: the fewest links, and the longest ways."""
    graph: nx.Graph[int] = nx.path_graph(count)
    return graph


def _ring(count: int, seed: int) -> nx.Graph[int]:
    """Each node with two neighbors: the fewest links of which one may break."""
    return nx.cycle_graph(count) if count > 2 else _path(count, seed)


def _star(count: int, seed: int) -> nx.Graph[int]:
    """The first node with all others: everything passes through it."""
    graph: nx.Graph[int] = nx.star_graph(count - 1)
    return graph


def _grid(count: int, seed: int) -> nx.Graph[int]:
    """Rows and columns, as square as the count allows."""
    return _rectangle("grid", count, least_side=2)


def _torus(count: int, seed: int) -> nx.Graph[int]:
    """A grid whose sides meet: each node with four neighbors, which takes 3 x 3 nodes or more."""
    return _rectangle("torus", count, least_side=3)


def _complete(count: int, seed: int) -> nx.Graph[int]:
    """Each node with every other."""
    graph: nx.Graph[int] = nx.complete_graph(count)
    return graph


def _erdos_renyi(count: int, seed: int) -> nx.Graph[int]:
    """Each link is there with probability 2 ln n / n.

    Twice the threshold of Erdős and Rényi (1959), above which nearly all large graphs are
    connected; at twice, a graph has 1/n nodes without a link on average.
    """
    probability = min(1.0, 2 * log(count) / count)
    return draw_connected(
        "erdos-renyi",
        lambda attempt: nx.gnp_random_graph(
            count, probability, seed=generator(seed, Purpose.ERDOS_RENYI, attempt)
        ),
    )


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


def _random_regular(count: int, seed: int) -> nx.Graph[int]:
    """Each node with four others, drawn at random.

    Up to five nodes it is complete. Four is even, so there is such a graph for odd counts too.
    """
    if count <= REGULAR_DEGREE + 1:
        return _complete(count, seed)
    return draw_connected(
        "random-regular",
        lambda attempt: nx.random_regular_graph(
            REGULAR_DEGREE, count, seed=generator(seed, Purpose.RANDOM_REGULAR, attempt)
        ),
    )


TOPOLOGIES: Mapping[str, Maker] = {
    "path": _path,
    "ring": _ring,
    "star": _star,
    "grid": _grid,
    "torus": _torus,
    "complete": _complete,
    "erdos-renyi": _erdos_renyi,
    "small-world": _small_world,
    "random-regular": _random_regular,
}


def draw_connected(name: str, draw: Callable[[int], nx.Graph[int]]) -> nx.Graph[int]:
    """Return the first connected one of the graphs that `draw` makes for attempt 0, 1, ...

    Raises
    ------
    ConfigError
        None of `ATTEMPTS` is connected.
    """
    for attempt in range(ATTEMPTS):
        graph = draw(attempt)
        if nx.is_connected(graph):
            return graph
    raise ConfigError(
        f"topology={name!r}: none of {ATTEMPTS} random graphs was connected; choose another seed"
    )


def _rectangle(name: str, count: int, *, least_side: int) -> nx.Graph[int]:
    rows = _rows(count, least_side)
    if rows is None:
        near = " or ".join(map(str, _counts_near(count, least_side)))
        raise ConfigError(
            f"topology={name!r}: {count} nodes make no rectangle of {least_side} x {least_side} "
            f"or more; {near} nodes would"
        )
    graph = nx.grid_2d_graph(rows, count // rows, periodic=name == "torus")
    return nx.convert_node_labels_to_integers(graph)


def _rows(count: int, least: int) -> int | None:
    """Return the shorter side of the most square rectangle; None if that is below `least`."""
    return next((side for side in range(isqrt(count), least - 1, -1) if count % side == 0), None)


def _counts_near(count: int, least: int) -> list[int]:
    """Return the nearest counts that make a rectangle: the one below, if any, and the one above."""
    below = next((n for n in range(count - 1, 0, -1) if _rows(n, least)), None)
    above = next(n for n in range(count + 1, 2 * count + least**2 + 1) if _rows(n, least))
    return [above] if below is None else [below, above]
