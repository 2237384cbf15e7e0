"""Mixing weights: how methods that average with all neighbors at once weigh them."""

from __future__ import annotations

from collections.abc import Mapping

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from flwr_digest.errors import ConfigError
from flwr_digest.topology.checks import as_graph

ROUNDING = 1e-9  # a guess, far above what rounding does to rows of thousands of weights


def metropolis_weights(topology: Mapping[int, frozenset[int]]) -> NDArray[np.float64]:
    """Return the Metropolis-Hastings weights: 1 / (1 + the larger degree) for each link.

    What is left of each row is the node's weight for itself. These are the local-degree weights
    of Xiao and Boyd (2004, "Fast linear iterations for distributed averaging"), 1 / the larger
    degree, with the 1 that Xiao, Boyd and Lall (2005, "A scheme for robust distributed sensor
    fusion based on average consensus") add: so each node keeps something of its own, without
    which averaging on an even ring swings for ever.

    Parameters
    ----------
    topology : mapping of int to frozenset of int
        For each node its neighbors: symmetric, connected, without loops.

    Returns
    -------
    ndarray, float64, shape [N, N]
        Symmetric, not negative; all rows and columns sum to 1 up to rounding. Nodes in sorted
        order.

    Raises
    ------
    ConfigError
        The topology is not one.
    """
    graph = as_graph(topology)
    links = nx.to_numpy_array(graph, nodelist=sorted(graph), dtype=np.dtype(np.float64))
    degrees = links.sum(axis=1)
    weights: NDArray[np.float64] = links / (1 + np.maximum.outer(degrees, degrees))
    np.fill_diagonal(weights, 1 - weights.sum(axis=1))
    return weights


def spectral_gap(weights: NDArray[np.float64]) -> float:
    """Return 1 - the second largest magnitude of an eigenvalue, from 0 (no mixing) to 1 (at once).

    One averaging step leaves of the distance from the average at most the share 1 - gap.

    Parameters
    ----------
    weights : ndarray, float64, shape [N, N]
        Symmetric, not negative, with rows that sum to 1.

    Raises
    ------
    ConfigError
        The weights are not as above.
    """
    square = weights.ndim == 2 and weights.shape[0] == weights.shape[1] > 0
    if not square or not np.allclose(weights, weights.T, rtol=0, atol=ROUNDING):
        raise ConfigError(f"weights of shape {list(weights.shape)} must be square and symmetric")
    if not np.allclose(weights.sum(axis=1), 1, rtol=0, atol=ROUNDING) or weights.min() < 0:
        raise ConfigError("weights: none may be negative, and each row must sum to 1")
    magnitudes = np.sort(np.abs(np.linalg.eigvalsh(weights)))
    return float(1 - magnitudes[-2]) if len(magnitudes) > 1 else 1.0
