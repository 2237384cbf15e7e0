"""RelaySum: exact averages along a tree, each node's news once."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.learning.arrays import Floats
from flwr_digest.sim.rivals import relay_sum
from flwr_digest.sim.rivals.relay_sum import RelaySgd, RelaySum, spanning_tree
from flwr_digest.topology import build_topology
from tests.unit.sim.rivals.builders import (
    STEADY,
    first_gradients,
    recorder_of,
    settings,
    small,
)


@st.composite
def trees(draw: st.DrawFn) -> nx.Graph[int]:
    count = draw(st.integers(1, 12))
    tree: nx.Graph[int] = nx.Graph()
    tree.add_nodes_from(range(count))
    tree.add_edges_from((draw(st.integers(0, node - 1)), node) for node in range(1, count))
    return tree


def values_of(count: int) -> Floats:
    """Return values whose sums tell exactly who is in them."""
    return (2.0 ** np.arange(count)).astype(np.float32)[:, np.newaxis]


@given(tree=trees())
def test_after_as_many_calls_as_the_tree_is_wide_averages_are_exact(tree: nx.Graph[int]) -> None:
    relay, values = RelaySum(tree, 1), values_of(len(tree))
    for _ in range(max(nx.diameter(tree), 1)):
        averages = relay.average(values)
    assert (averages * len(tree)).round(2).tolist() == [[2.0 ** len(tree) - 1]] * len(tree)


@given(tree=trees(), calls=st.integers(1, 12))
def test_what_is_not_heard_of_yet_is_replaced_by_the_nodes_own(
    tree: nx.Graph[int], calls: int
) -> None:
    relay, values = RelaySum(tree, 1), values_of(len(tree))
    for _ in range(calls):
        averages = relay.average(values)
    distances = dict(nx.all_pairs_shortest_path_length(tree))
    for node in tree:
        heard = [values[u] if distances[node][u] <= calls else values[node] for u in tree]
        assert averages[node] == pytest.approx(np.sum(heard) / len(tree))


@given(tree=trees(), calls=st.integers(1, 10))
def test_news_is_as_many_calls_old_as_its_node_is_hops_away_less_one(
    tree: nx.Graph[int], calls: int
) -> None:
    relay, values = RelaySum(tree, 1), values_of(len(tree))
    wide = max(nx.diameter(tree), 1)
    for call in range(wide + calls):
        averages = relay.average(values * np.float32(call))
    distances = dict(nx.all_pairs_shortest_path_length(tree))
    for node in tree:
        ages = [max(distances[node][u] - 1, 0) for u in tree]
        expected = [values[u] * (wide + calls - 1 - ages[u]) for u in tree]
        assert averages[node] == pytest.approx(np.sum(expected) / len(tree))


@pytest.mark.parametrize("name", ["ring", "small-world", "complete"])
@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_the_tree_spans_the_topology_from_a_center(name: str, count: int) -> None:
    topology = build_topology(name, range(count), seed=1)
    tree = spanning_tree(topology)
    assert nx.is_tree(tree)
    assert set(tree) == set(topology)
    assert all(peer in topology[node] for node, peer in tree.edges)
    graph = nx.Graph((node, peer) for node in topology for peer in {node, *topology[node]})
    depths = [max(nx.single_source_shortest_path_length(tree, node).values()) for node in tree]
    assert min(depths) == nx.radius(graph)


def test_a_first_round_is_a_gradient_step_and_an_average_with_the_neighbors() -> None:
    problem = small()
    method = RelaySgd(problem, spanning_tree(problem.neighbors), 1)
    stepped = method.models - 0.05 * first_gradients(problem, method.models)
    method.round(0.05)
    tree = spanning_tree(problem.neighbors)
    for node in tree:
        near = [stepped[u] if u in tree[node] else stepped[node] for u in tree]
        np.testing.assert_allclose(method.models[node], np.mean(near, 0), rtol=1e-3, atol=1e-6)


def test_one_model_goes_over_each_link_of_the_tree_and_direction_in_a_round() -> None:
    problem = small(STEADY, transfer_seconds=0.0, latency_seconds=1.0)
    recorder = recorder_of(problem)
    relay_sum.run(problem, settings(local_steps=3), recorder)  # rounds of 4 s
    final = recorder.rows[-1]
    assert final.models_sent == 2 * (6 - 1) * 10
    assert final.steps == 30


def test_staleness_is_what_the_hops_of_the_tree_cost() -> None:
    problem = small(STEADY, transfer_seconds=0.0, latency_seconds=1.0)
    recorder = recorder_of(problem)
    relay_sum.run(problem, settings(local_steps=3), recorder)
    tree = spanning_tree(problem.neighbors)
    hops = [d for v in tree for d in nx.single_source_shortest_path_length(tree, v).values() if d]
    final = recorder.rows[-1]
    assert final.staleness_steps == pytest.approx(3 * (np.mean(hops) - 1))
