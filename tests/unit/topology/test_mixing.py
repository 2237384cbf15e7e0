"""Mixing weights: doubly stochastic, symmetric, along the links only."""

from __future__ import annotations

from math import cos, pi

import networkx as nx
import numpy as np
import pytest
from hypothesis import given

from flwr_digest.errors import ConfigError
from flwr_digest.topology import build_topology, metropolis_weights, spectral_gap
from tests.unit.topology.builders import Topology, connected_topologies, topology_of


@given(topology=connected_topologies())
def test_rows_and_columns_sum_to_one_and_links_alone_have_weight(topology: Topology) -> None:
    weights = metropolis_weights(topology)
    assert weights.dtype == np.float64
    assert np.array_equal(weights, weights.T)
    np.testing.assert_allclose(weights.sum(axis=0), 1, rtol=0, atol=1e-12)
    assert (np.diag(weights) > 0).all()
    nodes = sorted(topology)
    linked = [[peer == node or peer in topology[node] for peer in nodes] for node in nodes]
    assert np.array_equal(weights > 0, linked)
    assert -1e-12 <= spectral_gap(weights) <= 1


def test_a_link_weighs_one_by_one_more_than_the_larger_degree() -> None:
    star = metropolis_weights(topology_of(nx.star_graph(3)))
    expected = [[1, 1, 1, 1], [1, 3, 0, 0], [1, 0, 3, 0], [1, 0, 0, 3]]
    np.testing.assert_allclose(star, np.array(expected) / 4)


@pytest.mark.parametrize("count", [3, 8, 16])
def test_the_gap_of_a_ring_is_as_known(count: int) -> None:
    """The eigenvalues of a ring with weights of 1/3 are 1/3 + 2/3 cos(2 pi k / n)."""
    gap = spectral_gap(metropolis_weights(build_topology("ring", range(count), 0)))
    assert gap == pytest.approx(1 - (1 + 2 * cos(2 * pi / count)) / 3)


def test_a_complete_topology_averages_at_once() -> None:
    assert spectral_gap(metropolis_weights(topology_of(nx.complete_graph(7)))) == pytest.approx(1)
    assert spectral_gap(metropolis_weights({7: frozenset()})) == 1


def test_two_nodes_that_only_swap_have_no_gap() -> None:
    assert spectral_gap(np.array([[0.0, 1.0], [1.0, 0.0]])) == pytest.approx(0)


@pytest.mark.parametrize(
    ("weights", "line"),
    [
        (np.ones((2, 3)), r"weights of shape \[2, 3\] must be square and symmetric"),
        (np.ones(1), r"weights of shape \[1\] must be square and symmetric"),
        (np.ones((0, 0)), r"weights of shape \[0, 0\] must be square and symmetric"),
        (np.array([[0.5, 0.5], [0.0, 1.0]]), "must be square and symmetric"),
        (np.array([[np.nan]]), "must be square and symmetric"),
        (np.eye(2) * 2, "none may be negative, and each row must sum to 1"),
        (np.array([[-1.0, 2.0], [2.0, -1.0]]), "none may be negative, and each row must sum"),
    ],
)
def test_other_matrices_are_refused(weights: np.ndarray, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        spectral_gap(weights)


def test_what_is_not_a_topology_has_no_weights() -> None:
    with pytest.raises(ConfigError, match="at least one node"):
        metropolis_weights({})
