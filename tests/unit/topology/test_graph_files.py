"""Graphs from files: what is read, in which order, and why a file is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import networkx as nx
import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.topology.graph_files import ENDINGS, graph_file, read_graph

Write = Callable[[str, str], Path]
GRAPHML = '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">{}</graphml>'


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(file: str, text: str) -> Path:
        path = tmp_path / file
        path.write_text(text, encoding="utf-8")
        return path

    return written


def links(path: Path, count: int) -> set[tuple[int, int]]:
    graph = read_graph(str(path), count)
    assert sorted(graph) == list(range(count))
    return {(min(link), max(link)) for link in graph.edges()}


def refusal(path: Path, count: int) -> str:
    """Return the text of the error, without the part that all have in common."""
    with pytest.raises(ConfigError) as caught:
        read_graph(f"file:{path}", count)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"topology='file:{path}': ")
    return line.removeprefix(f"topology='file:{path}': ")


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_ending_or_the_prefix_tells_a_file(ending: str) -> None:
    assert graph_file(f"my/graph{ending}") == Path(f"my/graph{ending}")
    assert graph_file(f"GRAPH{ending.upper()}") == Path(f"GRAPH{ending.upper()}")
    assert graph_file("file:my/graph") == Path("my/graph")
    assert graph_file("ring") is None


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.edgelist", "a b\nb c\n"),
        ("a.txt", "# links\n\n  a\tb  \nb c # the last\n"),
        ("a.csv", "a,b\nb, c\n"),
        ("a.TXT", "\ufeffa b\nb c\n"),
    ],
)
def test_a_list_of_links_is_read(write: Write, file: str, text: str) -> None:
    assert links(write(file, text), 3) == {(0, 1), (1, 2)}


def test_any_ending_will_do_after_the_prefix(write: Write) -> None:
    assert set(read_graph(f"file:{write('a.dat', 'a b')}", 2).edges()) == {(0, 1)}


def test_a_name_may_have_spaces_where_commas_are_between(write: Write) -> None:
    assert links(write("a.csv", "New York,Boston\nNew York,Austin\n"), 3) == {(0, 2), (1, 2)}


def test_whole_numbers_are_ranked_by_value_and_other_names_as_text(write: Write) -> None:
    assert links(write("a.txt", "10 9\n9 100\n"), 3) == {(0, 1), (0, 2)}
    assert links(write("b.txt", "n10 n9\nn9 n100\n"), 3) == {(0, 2), (1, 2)}


def test_a_link_that_is_there_twice_counts_once(write: Write) -> None:
    assert links(write("a.txt", "a b\nb a\na b\n"), 2) == {(0, 1)}


def test_what_networkx_writes_is_read(tmp_path: Path) -> None:
    graph: nx.Graph[int] = nx.connected_watts_strogatz_graph(20, 4, 0.3, seed=1)
    nx.write_edgelist(graph, tmp_path / "a.edgelist")
    nx.write_graphml(graph, tmp_path / "a.graphml")
    for path in (tmp_path / "a.edgelist", tmp_path / "a.graphml"):
        assert nx.utils.graphs_equal(read_graph(str(path), 20), graph)


def test_a_single_node_is_a_graph(write: Write) -> None:
    text = GRAPHML.format('<graph edgedefault="undirected"><node id="a"/></graph>')
    assert links(write("a.graphml", text), 1) == set()
    assert links(write("A.GRAPHML", text), 1) == set()


def test_parallel_links_in_graphml_count_once(write: Write) -> None:
    edges = '<edge id="1" source="a" target="b"/><edge id="2" source="b" target="a"/>'
    text = GRAPHML.format(f'<graph edgedefault="undirected">{edges}</graph>')
    assert links(write("a.graphml", text), 2) == {(0, 1)}


def test_a_directed_graph_is_refused(tmp_path: Path) -> None:
    nx.write_graphml(nx.DiGraph([("a", "b")]), tmp_path / "a.graphml")
    assert refusal(tmp_path / "a.graphml", 2) == (
        "the graph is directed, and links go both ways: save it undirected"
    )


def test_weights_may_be_there_if_all_are_the_same(tmp_path: Path, write: Write) -> None:
    nx.write_graphml(nx.Graph([("a", "b", {"weight": 1.0})]), tmp_path / "a.graphml")
    assert links(tmp_path / "a.graphml", 2) == {(0, 1)}
    assert links(write("a.txt", "a b 1.0\nb c 1.0\n"), 3) == {(0, 1), (1, 2)}


def test_weights_that_differ_are_refused(tmp_path: Path, write: Write) -> None:
    line = "the links' weights differ, and links have no weight"
    weighted = nx.Graph([("a", "b", {"weight": 1.0}), ("b", "c", {"weight": 2.0})])
    nx.write_graphml(weighted, tmp_path / "a.graphml")
    assert refusal(tmp_path / "a.graphml", 3) == line
    assert refusal(write("a.txt", "a b 1.0\nb c 2.0\n"), 3) == line
    assert refusal(write("b.txt", "a b 1.0\nb c\n"), 3) == line


def test_two_nodes_without_a_way_between_them_are_named(write: Write) -> None:
    assert refusal(write("a.txt", "c d\na b\n"), 4) == "there is no way between nodes 'a' and 'c'"


def test_another_count_of_nodes_is_refused(write: Write) -> None:
    assert refusal(write("a.txt", "a b\n"), 3) == ("the file has 2 nodes, and 3 take part")
    assert refusal(write("empty.txt", ""), 3) == ("the file has 0 nodes, and 3 take part")


def test_a_link_to_itself_is_refused(write: Write) -> None:
    assert refusal(write("a.txt", "a b\nb b\n"), 2) == "node 'b' has a link to itself"


@pytest.mark.parametrize("wrong", ["alone", "a b c d", "a,,b", "a,b,", ","])
def test_a_line_that_is_no_link_is_named(write: Write, wrong: str) -> None:
    assert refusal(write("a.txt", f"a b\n{wrong}\n"), 2) == (
        f"line 2 is not two names of nodes: {wrong!r}"
    )


def test_only_the_beginning_of_a_long_line_is_shown(write: Write) -> None:
    assert len(refusal(write("a.txt", "word " * 1000), 2)) < 120


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "<a/>",
        GRAPHML.format("<graph edgedefault='undirected'><hyperedge/></graph>"),
        GRAPHML.format(
            "<key id='w' for='edge' attr.name='weight' attr.type='double'/><graph>"
            "<edge source='a' target='b'><data key='w'>heavy</data></edge></graph>"
        ),
        GRAPHML.format(
            "<key id='w' for='edge' attr.name='weight' attr.type='complex'/><graph></graph>"
        ),
    ],
)
def test_what_is_not_graphml_is_refused(write: Write, text: str) -> None:
    assert refusal(write("a.graphml", text), 2).startswith("the file is not GraphML that can be ")


def test_what_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a b\n\xff\xfe\n")
    assert refusal(tmp_path / "a.txt", 2).startswith("the file cannot be read: 'utf-8' codec ")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    assert refusal(tmp_path, 2) == f"there is no such file here, in {Path.cwd()}"
