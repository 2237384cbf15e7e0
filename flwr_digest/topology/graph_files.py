"""Graphs from files: a list of links, or GraphML.

A topology is a file if it is written ``file:PATH``, or ends in one of `ENDINGS`. What ends in
``.graphml`` is GraphML, all else a list of links: two names a line, with a space or a comma
between, and no header; ``#`` starts a comment.

The names in the file need not be node ids, which Flower draws anew in each federation: in sorted
order (by value if all are whole numbers) they stand for the sorted ids. Links have no direction
and no weight. A directed graph and weights that differ are refused; in a list of links, `a b` and
`b a` are the same link, and one that is there twice counts once.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.etree.ElementTree import ParseError

import networkx as nx

from flwr_digest.errors import ConfigError
from flwr_digest.topology.checks import check_connected

PREFIX = "file:"
ENDINGS = (".edgelist", ".txt", ".csv", ".graphml")
LONGEST_QUOTE = 60  # characters of a wrong line to show: enough to find it, and still one line


def graph_file(name: str) -> Path | None:
    """Return the path that a topology's name means, or None if it does not mean a file."""
    if name.startswith(PREFIX):
        return Path(name.removeprefix(PREFIX))
    return Path(name) if name.lower().endswith(ENDINGS) else None


def check_graph_file(name: str) -> None:
    """Raise `ConfigError` if there is no such file; what is in it `read_graph` checks."""
    path = graph_file(name)
    if path is None or not path.is_file():
        raise ConfigError(f"topology={name!r}: there is no such file here, in {Path.cwd()}")


def read_graph(name: str, count: int) -> nx.Graph[int]:
    """Return the graph in a file, its nodes named 0, 1, ... in sorted order of their names.

    Parameters
    ----------
    name : str
        The topology, ``file:PATH`` or a path that ends in one of `ENDINGS`.
    count : int
        How many nodes it must have.

    Raises
    ------
    ConfigError
        There is no such file, it cannot be read, is not a graph, is directed, has weights that
        differ, a link from a node to itself, another count of nodes, or two nodes without a way
        between them.
    """
    check_graph_file(name)
    path = graph_file(name) or Path()
    try:
        graph = _read_graphml(path) if path.suffix.lower() == ".graphml" else _read_links(path)
    except ConfigError as error:
        raise ConfigError(f"topology={name!r}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"topology={name!r}: the file cannot be read: {error}") from None
    _check(graph, name, count)
    place = {node: number for number, node in enumerate(_rank(graph))}
    ranked: nx.Graph[int] = nx.empty_graph(count)
    ranked.add_edges_from((place[node], place[peer]) for node, peer in graph.edges())
    return ranked


def _read_graphml(path: Path) -> nx.MultiGraph[str]:
    try:
        graph = nx.read_graphml(path, node_type=str)
    except (nx.NetworkXError, ParseError, KeyError, ValueError) as error:
        raise ConfigError(f"the file is not GraphML that can be read: {error}") from None
    if graph.is_directed():
        raise ConfigError("the graph is directed, and links go both ways: save it undirected")
    return nx.MultiGraph(graph)


def _read_links(path: Path) -> nx.MultiGraph[str]:
    """Read a list of links. (networkx would pass over the lines that it cannot read.)"""
    graph: nx.MultiGraph[str] = nx.MultiGraph()
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if cells := _cells(line):
                if len(cells) not in (2, 3) or not all(cells):
                    quote = line.strip()[:LONGEST_QUOTE]
                    raise ConfigError(f"line {number} is not two names of nodes: {quote!r}")
                graph.add_edge(cells[0], cells[1], weight=cells[2] if len(cells) == 3 else None)
    return graph


def _cells(line: str) -> list[str]:
    text = line.partition("#")[0].strip()
    return [cell.strip() for cell in text.split(",")] if "," in text else text.split()


def _check(graph: nx.MultiGraph[str], name: str, count: int) -> None:
    weights: set[object] = {data.get("weight") for _, _, data in graph.edges(data=True)}
    if len(weights) > 1:
        raise ConfigError(f"topology={name!r}: the links' weights differ, and links have no weight")
    loops = sorted(nx.nodes_with_selfloops(graph))
    if loops:
        raise ConfigError(f"topology={name!r}: node {loops[0]!r} has a link to itself")
    if len(graph) != count:
        raise ConfigError(
            f"topology={name!r}: the file has {len(graph)} nodes, and {count} take part"
        )
    check_connected(graph, f"topology={name!r}")


def _rank(names: Iterable[str]) -> list[str]:
    """Return the names in order: by value if all are whole numbers, so that 9 is before 10."""
    ranked = sorted(names)
    return sorted(ranked, key=int) if all(name.isdecimal() for name in ranked) else ranked
