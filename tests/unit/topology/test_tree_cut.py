"""Cutting trees: as many parts as asked for, connected, with all links between them, and even."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.topology.tree_cut import Tree, cut


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    count = draw(st.integers(2, 40))
    return {node: draw(st.integers(0, node - 1)) for node in range(1, count)}


def rooted(graph: nx.Graph[int], root: int = 0) -> Tree:
    return {node: parent for parent, node in nx.bfs_edges(graph, root)}


def sizes(parts: list[Tree]) -> list[int]:
    return sorted(map(len, parts), reverse=True)


@given(data=st.data(), tree=trees())
def test_all_links_are_in_one_part_each_and_parts_are_trees(
    data: st.DataObject, tree: Tree
) -> None:
    count = data.draw(st.integers(1, len(tree)))
    parts = cut(tree, count)
    assert len(parts) == count
    assert sorted(link for part in parts for link in part.items()) == sorted(tree.items())
    assert all(nx.is_tree(nx.Graph(part.items())) for part in parts)


@given(data=st.data(), tree=trees())
def test_parents_come_before_their_children(data: st.DataObject, tree: Tree) -> None:
    for part in cut(tree, data.draw(st.integers(1, len(tree)))):
        later = list(part)
        for place, node in enumerate(later):
            assert part[node] not in later[place:]


@pytest.mark.parametrize("count", range(1, 48))
def test_paths_and_stars_are_cut_as_evenly_as_can_be(count: int) -> None:
    for graph in (nx.path_graph(48), nx.star_graph(47)):
        for root in (0, 24):
            assert sizes(cut(rooted(graph, root), count))[0] == -(-47 // count)


def test_three_legs_are_cut_within_a_leg() -> None:
    spider: nx.Graph[int] = nx.Graph()
    for leg in ([1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]):
        nx.add_path(spider, [0, *leg])
    assert sizes(cut(rooted(spider), 4)) == [3, 3, 3, 3]
    assert sizes(cut(rooted(spider), 2)) == [8, 4]


def test_long_branches_are_packed_before_short_ones() -> None:
    assert sizes(cut({1: 0, 2: 0, 3: 0, 4: 0, 5: 3, 6: 4}, 2)) == [3, 3]


def test_parts_that_are_too_few_are_cut_again() -> None:
    """Caps of 1 link give 5 parts and caps of 2 only 3, so one of these is cut for 4."""
    assert sizes(cut(rooted(nx.path_graph(6)), 4)) == [2, 1, 1, 1]


def test_a_part_for_each_link_is_one_link_each() -> None:
    assert sizes(cut(rooted(nx.balanced_tree(3, 3)), 39)) == [1] * 39
