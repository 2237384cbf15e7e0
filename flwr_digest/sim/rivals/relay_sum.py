"""RelaySGD: news is relayed along a spanning tree, so that all hear all of everyone, with a delay.

Vogels, He, Koloskova, Lin, Karimireddy, Stich and Jaggi, "RelaySum for Decentralized Deep Learning
on Heterogeneous Data", 2021, arXiv 2110.04175, algorithm 1. The spanning tree is a breadth-first
one from a center of the topology, so that the delays are short.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

from flwr_digest.learning.arrays import Doubles, Floats, Integers
from flwr_digest.sim.rivals.gossip import Gossip
from flwr_digest.sim.rivals.post import Post
from flwr_digest.sim.rivals.rounds import run_rounds
from flwr_digest.sim.rivals.training import Trainer, local_steps_of

if TYPE_CHECKING:
    from flwr_digest.sim.methods import Settings
    from flwr_digest.sim.problem import Problem
    from flwr_digest.sim.record import Recorder

LOCAL_STEPS = 1
"""Local steps between two exchanges: as published."""


def spanning_tree(neighbors: Mapping[int, frozenset[int]]) -> nx.Graph[int]:
    """Return a breadth-first tree from the topology's first center; the same whenever asked."""
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(sorted(neighbors))
    graph.add_edges_from((node, peer) for node in sorted(neighbors) for peer in neighbors[node])
    links = nx.bfs_edges(graph, min(nx.center(graph)), sort_neighbors=sorted)
    tree: nx.Graph[int] = nx.Graph()
    tree.add_nodes_from(graph)
    tree.add_edges_from(links)
    return tree


class RelaySum:
    """The relayed sums on each link and direction of a tree, and how many nodes are in each.

    Parameters
    ----------
    tree : networkx.Graph
        Of nodes 0 to N - 1.
    size : int
        Of one node's value.
    """

    def __init__(self, tree: nx.Graph[int], size: int) -> None:
        links = [*tree.edges, *((other, one) for one, other in tree.edges)]
        both_ways = sorted(links, key=lambda ends: ends[::-1])  # all that one node hears in a row
        directions = np.array(both_ways, dtype=np.int64).reshape(-1, 2)
        self._senders: Integers = directions[:, 0]
        self._first_heard: Integers = np.searchsorted(directions[:, 1], np.arange(len(tree)))
        place = {ends: index for index, ends in enumerate(both_ways)}
        self._backwards = np.array([place[b, a] for a, b in both_ways], dtype=np.int64)
        self._nodes = len(tree)
        self._sums: Floats = np.zeros((len(directions), size), dtype=np.float32)
        self._counts: Integers = np.zeros(len(directions), dtype=np.int64)

    def average(self, values: Floats) -> Floats:
        """Send the values on, with what has come from elsewhere; return each node's average.

        What a node has not heard of yet, it replaces by its own value.

        Parameters
        ----------
        values : numpy.ndarray
            Shape ``[N, size]``, float32.

        Returns
        -------
        numpy.ndarray
            A new array ``[N, size]``: the mean over all nodes, of each the value of as many calls
            ago as it is hops away, less one.
        """
        heard, counts = self._heard()
        self._sums = values[self._senders] + heard[self._senders] - self._sums[self._backwards]
        self._counts = 1 + counts[self._senders] - self._counts[self._backwards]
        heard, counts = self._heard()
        own = (self._nodes - counts).astype(np.float32)[:, np.newaxis]
        averages: Floats = (own * values + heard) / np.float32(self._nodes)
        return averages

    def _heard(self) -> tuple[Floats, Integers]:
        """Return for each node the sum of what has come in last, and of how many nodes that is."""
        if self._nodes == 1:
            return np.zeros((1, self._sums.shape[1]), dtype=np.float32), np.zeros(1, dtype=np.int64)
        heard: Floats = np.add.reduceat(self._sums, self._first_heard, axis=0)
        return heard, np.add.reduceat(self._counts, self._first_heard)


class RelaySgd:
    """All nodes' models, and what is on its way."""

    def __init__(self, problem: Problem, tree: nx.Graph[int], local_steps: int) -> None:
        self._local_steps = local_steps
        self._trainer = Trainer(problem, weighted=True)
        self._relay = RelaySum(tree, problem.task.size)
        self.models: Floats = np.tile(problem.initial, (problem.nodes, 1))

    def round(self, rate: float) -> None:
        """Make local steps, relay, and take the average of all that is heard."""
        stepped = self._trainer.descend(self.models, rate, self._local_steps)
        self.models = self._relay.average(stepped)


def run(problem: Problem, settings: Settings, recorder: Recorder) -> None:
    """Run RelaySGD until all is measured; one model over each link of the tree and direction."""
    steps = local_steps_of(settings, LOCAL_STEPS)
    tree = spanning_tree(problem.neighbors)
    near = {node: frozenset(tree[node]) for node in tree}
    gossip = Gossip(Post(problem.network()), near, problem.model_bytes)
    method = RelaySgd(problem, tree, steps)
    lag = _lag_rounds(tree)
    run_rounds(problem, settings, recorder, method, gossip, local_steps=steps, lag_rounds=lag)


def _lag_rounds(tree: nx.Graph[int]) -> Doubles:
    """Return how many rounds later than a direct neighbor's news another's arrives, ``[N, N]``."""
    hops = np.zeros((len(tree), len(tree)))
    for node, distances in nx.all_pairs_shortest_path_length(tree):
        for peer, distance in distances.items():
            hops[node, peer] = distance
    return np.maximum(hops - 1, 0.0)
