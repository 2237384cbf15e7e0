"""Who has which samples: the ways to share out a data set between nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flwr_digest.errors import ConfigError
from flwr_digest.learning.arrays import Doubles, Integers
from flwr_digest.learning.checks import Range, check_name, check_number
from flwr_digest.learning.seeds import Purpose, generator

_REDRAWS = 100
"""Tries until each node has a sample; a guess. What fails so often is not bad luck."""

WEIGHTINGS = ("uniform", "by-size")
"""How much a node's steps count: 1/N, or its share of the samples as in FedAvg."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Request:
    """What a partition is made of."""

    labels: Integers
    nodes: int
    draws: np.random.Generator
    alpha: float
    spread: float


def _iid(request: _Request) -> list[Integers]:
    """Each node with an equal share, drawn from all samples alike."""
    return np.array_split(request.draws.permutation(len(request.labels)), request.nodes)


def _by_label(request: _Request) -> list[Integers]:
    """Sorted by label and cut into equal pieces: a node knows one or two labels, if few."""
    return np.array_split(np.argsort(request.labels, kind="stable"), request.nodes)


def _shards_by_label(request: _Request) -> list[Integers]:
    """McMahan et al. 2017, section 3: sorted by label, cut into 2 N shards, two to each node."""
    if len(request.labels) < 2 * request.nodes:
        raise ConfigError(
            f"nodes is {request.nodes}: shards-by-label needs two samples for each node, "
            f"and there are {len(request.labels)}"
        )
    shards = np.array_split(np.argsort(request.labels, kind="stable"), 2 * request.nodes)
    deal = request.draws.permutation(2 * request.nodes)
    return [np.concatenate([shards[a], shards[b]]) for a, b in deal.reshape(-1, 2)]


def _dirichlet(request: _Request) -> list[Integers]:
    """Hsu et al. 2019: of each label the nodes get shares drawn from a Dirichlet distribution."""
    for _ in range(_REDRAWS):
        parts = _dirichlet_once(request)
        if all(len(part) for part in parts):
            return parts
    raise ConfigError(
        f"alpha is {request.alpha}: in {_REDRAWS} draws some of the {request.nodes} nodes always "
        "got no sample; take a larger alpha or fewer nodes"
    )


def _dirichlet_once(request: _Request) -> list[Integers]:
    """Share out each label once; a node may end up with nothing."""
    pieces: list[list[Integers]] = [[] for _ in range(request.nodes)]
    for label in np.unique(request.labels):
        members = request.draws.permutation(np.flatnonzero(request.labels == label))
        shares = request.draws.dirichlet(np.full(request.nodes, request.alpha))
        cuts = np.round(np.cumsum(shares)[:-1] * len(members)).astype(np.int64)
        for node, piece in enumerate(np.split(members, cuts)):
            pieces[node].append(piece)
    return [np.concatenate(of_node) for of_node in pieces]


def _unequal(request: _Request) -> list[Integers]:
    """Drawn from all samples alike, but log-normal sizes: one sample each, the rest by share."""
    shares = np.exp(request.spread * request.draws.standard_normal(request.nodes))
    rest = len(request.labels) - request.nodes
    cuts = np.round(np.cumsum(shares / shares.sum())[:-1] * rest).astype(np.int64)
    cuts += np.arange(1, request.nodes)
    return np.split(request.draws.permutation(len(request.labels)), cuts)


PARTITIONS: Mapping[str, Callable[[_Request], list[Integers]]] = {
    "iid": _iid,
    "by-label": _by_label,
    "shards-by-label": _shards_by_label,
    "dirichlet": _dirichlet,
    "unequal": _unequal,
}


def partition(
    name: str, labels: Integers, nodes: int, seed: int, *, alpha: float = 0.5, spread: float = 1.0
) -> list[Integers]:
    """Share out the samples: each to one node, and to each node at least one.

    Parameters
    ----------
    name : str
        One of `PARTITIONS`.
    labels : numpy.ndarray
        Shape ``[m]``, int64: each sample's label.
    nodes : int
        How many nodes.
    seed : int
        Decides who gets what, where that is drawn.
    alpha : float
        Of `dirichlet`: the smaller, the fewer labels a node knows. 0.5: the usual value of Li et
        al. 2022 (NIID-Bench).
    spread : float
        Of `unequal`: the standard deviation of the logarithm of the sizes. 1.0: a guess.

    Returns
    -------
    list of numpy.ndarray
        For each node the indices of its samples, int64.

    Raises
    ------
    ConfigError
        Unknown name, more nodes than samples, a number out of range, or draws that leave a node
        without a sample.
    """
    check_name("partition", name, PARTITIONS)
    check_number("nodes", nodes, Range(whole=True, least=1))
    check_number("alpha", alpha, Range(above=0))
    check_number("spread", spread, Range(least=0))
    if nodes > len(labels):
        raise ConfigError(
            f"nodes is {nodes}: there are {len(labels)} training samples, and each node needs one"
        )
    draws = generator(seed, Purpose.PARTITION)
    request = _Request(labels=labels, nodes=nodes, draws=draws, alpha=alpha, spread=spread)
    return PARTITIONS[name](request)


def node_weights(parts: Sequence[Integers], how: str) -> Doubles:
    """Return how much each node's local steps count in the global model.

    Parameters
    ----------
    parts : sequence of numpy.ndarray
        For each node the indices of its samples.
    how : str
        One of `WEIGHTINGS`.

    Returns
    -------
    numpy.ndarray
        Shape ``[N]``, float64, sums to 1.

    Raises
    ------
    ConfigError
        Unknown weighting.
    """
    check_name("weighting", how, WEIGHTINGS)
    sizes = np.array([len(part) for part in parts], dtype=np.float64)
    shares: Doubles = sizes / sizes.sum()
    return np.full_like(shares, 1 / len(parts)) if how == "uniform" else shares
