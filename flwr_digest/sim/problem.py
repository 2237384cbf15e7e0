"""A scenario and a seed, made real: data, parts, start, links. The same for all methods."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from flwr_digest.learning.arrays import Doubles, Integers
from flwr_digest.learning.batches import Batches
from flwr_digest.learning.datasets import Dataset, load_dataset
from flwr_digest.learning.optimum import optimum
from flwr_digest.learning.partitions import node_weights, partition
from flwr_digest.learning.tasks import Task, make_task
from flwr_digest.sim.compute import Compute
from flwr_digest.sim.network import Network
from flwr_digest.sim.scenario import Scenario
from flwr_digest.topology.graphs import build_topology

_FLOAT32_BYTES = 4


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Problem:
    """What a method is given. Nothing in it changes during a run; the rest is made fresh.

    Attributes
    ----------
    scenario : Scenario
        What it was made from.
    seed : int
        What all that is random depends on.
    dataset : Dataset
        Training and test data.
    parts : tuple of numpy.ndarray
        For each node the indices of its training samples.
    weights : numpy.ndarray
        Shape ``[N]``, float64, sums to 1: how much each node's steps count.
    task : Task
        Gradients and losses.
    best_loss : float
        The least loss on all training data; see `flwr_digest.learning.optimum`.
    neighbors : dict of int to frozenset of int
        The topology, of nodes 0 to N - 1.
    initial : numpy.ndarray
        Shape ``[d]``, float32, read-only: the model that all nodes start from.
    """

    scenario: Scenario
    seed: int
    dataset: Dataset
    parts: tuple[Integers, ...]
    weights: Doubles
    task: Task
    best_loss: float
    neighbors: dict[int, frozenset[int]]
    initial: npt.NDArray[np.float32]

    @property
    def nodes(self) -> int:
        """How many nodes there are (N)."""
        return len(self.parts)

    @property
    def model_bytes(self) -> int:
        """What one model takes on a link."""
        return _FLOAT32_BYTES * self.task.size

    @property
    def bandwidth_bytes_per_second(self) -> float:
        """Of each direction of a link; infinite where a transfer takes no time."""
        seconds = self.scenario.transfer_seconds
        return self.model_bytes / seconds if seconds else math.inf

    def batches(self) -> Batches:
        """Return each node's minibatches, from the first on."""
        return Batches(self.dataset, self.parts, self.scenario.batch_size, self.seed)

    def compute(self) -> Compute:
        """Return how long the nodes' local steps take."""
        return Compute(self.scenario, self.seed)

    def network(self, *, ideal: bool = False, freezes_cut: bool = True) -> Network:
        """Return the links, all free, nothing sent yet.

        Parameters
        ----------
        ideal : bool
            Links between everyone, without losses and outages: for an ideal server.
        freezes_cut : bool
            Whether a frozen node's links are down, so that what is sent to it arrives after that:
            for methods in which nodes take in what comes without doing anything about it.
        """
        freezes = self.scenario.freezes if freezes_cut else ()
        return Network(
            self.neighbors,
            bandwidth_bytes_per_second=self.bandwidth_bytes_per_second,
            latency_seconds=self.scenario.latency_seconds,
            loss=self.scenario.loss,
            outages=self.scenario.outages,
            absences=(*self.scenario.absences, *freezes),
            losses=self.scenario.losses,
            seed=self.seed,
            ideal=ideal,
        )


def make_problem(scenario: Scenario, seed: int) -> Problem:
    """Return what a scenario and a seed say: the same two give the same problem.

    Parameters
    ----------
    scenario : Scenario
        What is simulated.
    seed : int
        0 or more. Decides the test set, the parts, the topology, the start, the order of the
        samples, the step times, and the losses of the links.

    Raises
    ------
    ConfigError
        The scenario does not fit the data, or a package is missing.
    """
    dataset = load_dataset(scenario.dataset, seed)
    parts = partition(
        scenario.partition,
        dataset.train_y,
        scenario.nodes,
        seed,
        alpha=scenario.alpha,
        spread=scenario.size_spread,
    )
    kind = (scenario.dataset, scenario.model, scenario.hidden, scenario.regularization, seed)
    task, best_loss = _task_and_best_loss(*kind)
    initial = task.initial(seed)
    initial.setflags(write=False)
    problem = Problem(
        scenario=scenario,
        seed=seed,
        dataset=dataset,
        parts=tuple(parts),
        weights=node_weights(parts, scenario.weighting),
        task=task,
        best_loss=best_loss,
        neighbors=build_topology(scenario.topology, range(scenario.nodes), seed),
        initial=initial,
    )
    problem.network()  # refuses outages of links that the topology does not have
    return problem


@lru_cache(maxsize=64)
def _task_and_best_loss(
    dataset: str, model: str, hidden: int, regularization: float, seed: int
) -> tuple[Task, float]:
    """Return a task and its best loss, which takes a while: once per process is enough."""
    data = load_dataset(dataset, seed)
    task = make_task(model, data, hidden=hidden, regularization=regularization)
    return task, optimum(task, data.train_x, data.train_y, seed=seed)
