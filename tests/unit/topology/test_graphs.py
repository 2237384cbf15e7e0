"""Every graph, named or from a file: connected, symmetric, the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.errors import ConfigError
from flwr_digest.topology import TOPOLOGIES, build_topology, check_topology_name
from tests.unit.topology.builders import FLOWER_IDS

NAMES = sorted(TOPOLOGIES)
RECTANGLES = {"grid", "torus"}
ANY_COUNT = sorted(set(NAMES) - RECTANGLES)
SQUARES = st.sampled_from([9, 16, 25, 36])


@st.composite
def names_and_nodes(draw: st.DrawFn) -> tuple[str, list[int]]:
    """Each name with a count of nodes that it can have."""
    name = draw(st.sampled_from(NAMES))
    count = draw(SQUARES if name in RECTANGLES else st.integers(1, 40))
    return name, sorted(draw(st.sets(FLOWER_IDS, min_size=count, max_size=count)))


@given(name_and_nodes=names_and_nodes(), seed=st.integers(-(2**31), 2**63))
def test_connected_symmetric_and_without_loops(
    name_and_nodes: tuple[str, list[int]], seed: int
) -> None:
    name, nodes = name_and_nodes
    topology = build_topology(name, nodes, seed)
    assert list(topology) == nodes
    for node, near in topology.items():
        assert node not in near
        assert all(node in topology[peer] for peer in near)
    assert nx.is_connected(nx.Graph((a, b) for a, near in topology.items() for b in {a, *near}))


@given(name=st.sampled_from(NAMES), nodes=st.permutations(range(12)), seed=st.integers(0, 99))
def test_the_same_for_any_order_of_the_nodes(name: str, nodes: list[int], seed: int) -> None:
    assert build_topology(name, nodes, seed) == build_topology(name, sorted(nodes), seed)


@pytest.mark.parametrize("name", ANY_COUNT)
def test_one_node_is_alone_and_two_are_linked(name: str) -> None:
    assert build_topology(name, [7], seed=0) == {7: frozenset()}
    assert build_topology(name, [7, 3], seed=0) == {3: frozenset({7}), 7: frozenset({3})}


def test_the_lowest_ids_take_the_first_places() -> None:
    star = build_topology("star", [30, 10, 20], seed=0)
    assert star == {10: frozenset({20, 30}), 20: frozenset({10}), 30: frozenset({10})}


@pytest.mark.parametrize(
    ("name", "meant"),
    [("rng", "ring"), ("smallworld", "small-world"), ("compleet", "complete"), ("gird", "grid")],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_topology(name, [1, 2], seed=0)
    line = str(caught.value)
    assert f"topology={name!r} is unknown" in line
    assert line.endswith(f"did you mean {meant!r}?")
    assert "\n" not in line


def test_a_name_near_none_is_answered_with_all() -> None:
    with pytest.raises(ConfigError, match=r"choose from .*complete.*ring.*small-world") as caught:
        build_topology("hypercube", [1, 2], seed=0)
    assert str(caught.value).endswith("or 'file:PATH'")


@pytest.mark.parametrize("nodes", [[], [1, 1]])
def test_no_nodes_or_one_twice_is_refused(nodes: list[int]) -> None:
    with pytest.raises(ConfigError, match="different nodes, at least one"):
        build_topology("ring", nodes, seed=0)


def test_a_file_links_the_given_nodes(tmp_path: Path) -> None:
    path = tmp_path / "links.edgelist"
    path.write_text("9 10\n10 11\n")
    for name in (f"file:{path}", str(path)):
        check_topology_name(name)
        topology = build_topology(name, [300, 100, 200], seed=0)
        assert topology == {
            100: frozenset({200}),
            200: frozenset({100, 300}),
            300: frozenset({200}),
        }


@pytest.mark.parametrize("name", ["file:nowhere", "nowhere.graphml", "file:"])
def test_a_file_that_is_not_there_is_refused_with_the_name(name: str) -> None:
    with pytest.raises(ConfigError, match="there is no such file") as caught:
        check_topology_name(name)
    assert str(caught.value).startswith(f"topology={name!r}: ")
