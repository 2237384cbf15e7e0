"""What each named graph looks like, and which counts of nodes it can have."""

from __future__ import annotations

from collections import Counter

import networkx as nx
import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.topology.makers import ATTEMPTS, TOPOLOGIES, draw_connected


def degrees(name: str, count: int, seed: int = 0) -> dict[int, int]:
    """Return how many nodes have how many neighbors."""
    return dict(Counter(degree for _, degree in TOPOLOGIES[name](count, seed).degree()))


def refusal(name: str, count: int) -> str:
    with pytest.raises(ConfigError) as caught:
        TOPOLOGIES[name](count, 0)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "count", "expected"),
    [
        ("path", 9, {1: 2, 2: 7}),
        ("ring", 9, {2: 9}),
        ("star", 9, {1: 8, 8: 1}),
        ("grid", 12, {2: 4, 3: 6, 4: 2}),
        ("torus", 12, {4: 12}),
        ("complete", 9, {8: 9}),
        ("random-regular", 2, {1: 2}),
        ("random-regular", 4, {3: 4}),
        ("random-regular", 5, {4: 5}),
        ("random-regular", 6, {4: 6}),
        ("random-regular", 41, {4: 41}),
    ],
)
def test_each_node_has_the_neighbors_it_should(
    name: str, count: int, expected: dict[int, int]
) -> None:
    assert degrees(name, count) == expected


def test_a_star_has_its_center_at_the_first_node() -> None:
    assert set(TOPOLOGIES["star"](5, 0)[0]) == {1, 2, 3, 4}


def test_a_grid_is_as_square_as_can_be_and_filled_row_by_row() -> None:
    grid = TOPOLOGIES["grid"](24, 0)
    assert nx.is_isomorphic(grid, nx.grid_2d_graph(4, 6))
    assert set(grid[0]) == {1, 6}
    assert nx.is_isomorphic(TOPOLOGIES["grid"](14, 0), nx.grid_2d_graph(2, 7))


def test_a_torus_is_a_grid_whose_sides_meet() -> None:
    torus = TOPOLOGIES["torus"](24, 0)
    assert nx.is_isomorphic(torus, nx.grid_2d_graph(4, 6, periodic=True))


@pytest.mark.parametrize(
    ("name", "count", "line"),
    [
        ("grid", 1, "1 nodes make no rectangle of 2 x 2 or more; 4 nodes would"),
        ("grid", 7, "7 nodes make no rectangle of 2 x 2 or more; 6 or 8 nodes would"),
        ("torus", 2, "2 nodes make no rectangle of 3 x 3 or more; 9 nodes would"),
        ("torus", 10, "10 nodes make no rectangle of 3 x 3 or more; 9 or 12 nodes would"),
    ],
)
def test_a_count_without_rectangle_is_answered_with_the_nearest(
    name: str, count: int, line: str
) -> None:
    assert refusal(name, count) == f"topology={name!r}: {line}"


@pytest.mark.parametrize(("name", "least"), [("grid", 2), ("torus", 3)])
def test_any_other_count_makes_a_rectangle_or_is_told_counts_that_do(name: str, least: int) -> None:
    for count in range(1, 130):
        if any(count % side == 0 and count // side >= least for side in range(least, count + 1)):
            assert len(TOPOLOGIES[name](count, 0)) == count
            continue
        offer = refusal(name, count).rpartition("; ")[2].removesuffix(" nodes would")
        for offered in map(int, offer.split(" or ")):
            assert len(TOPOLOGIES[name](offered, 0)) == offered


@pytest.mark.parametrize("count", [3, 4, 5])
@pytest.mark.parametrize("name", ["small-world", "random-regular"])
def test_up_to_five_nodes_four_neighbors_are_all_there_are(name: str, count: int) -> None:
    assert degrees(name, count) == {count - 1: count}


@pytest.mark.parametrize("count", [6, 10, 50])
def test_a_small_world_has_two_links_a_node(count: int) -> None:
    assert {TOPOLOGIES["small-world"](count, seed).size() for seed in range(8)} == {2 * count}


@pytest.mark.parametrize("name", ["small-world", "erdos-renyi", "random-regular"])
@pytest.mark.parametrize("count", [8, 50])
def test_random_graphs_depend_on_the_seed_alone(name: str, count: int) -> None:
    drawn = [nx.to_edgelist(TOPOLOGIES[name](count, seed)) for seed in range(8)]
    links = [frozenset((a, b) for a, b, _ in graph) for graph in drawn]
    assert len(set(links)) > 1
    assert nx.utils.graphs_equal(TOPOLOGIES[name](count, 3), TOPOLOGIES[name](count, 3))


def test_seeds_that_differ_in_sign_draw_different_graphs() -> None:
    one, other = TOPOLOGIES["erdos-renyi"](30, 5), TOPOLOGIES["erdos-renyi"](30, -5)
    assert not nx.utils.graphs_equal(one, other)


def test_erdos_renyi_has_about_n_ln_n_links() -> None:
    links = [TOPOLOGIES["erdos-renyi"](100, seed).size() for seed in range(10)]
    assert 430 < sum(links) / len(links) < 490  # 99 ln 100 = 456, give or take 7


def test_graphs_are_drawn_until_one_is_connected() -> None:
    drawn: list[int] = []

    def draw(attempt: int) -> nx.Graph[int]:
        drawn.append(attempt)
        graph: nx.Graph[int] = nx.path_graph(4) if attempt == 3 else nx.empty_graph(4)
        return graph

    assert nx.is_connected(draw_connected("erdos-renyi", draw))
    assert drawn == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(20))
def test_each_attempt_draws_another_graph(seed: int) -> None:
    """Two nodes are not linked in three of ten first attempts."""
    assert nx.is_connected(TOPOLOGIES["erdos-renyi"](2, seed))


def test_after_enough_attempts_the_seed_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        draw_connected("erdos-renyi", lambda attempt: nx.empty_graph(2))
    line = f"none of {ATTEMPTS} random graphs was connected; choose another seed"
    assert str(caught.value) == f"topology='erdos-renyi': {line}"
