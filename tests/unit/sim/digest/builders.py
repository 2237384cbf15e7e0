"""Short ways to make the problems that the tests of the simulated DIGEST are about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from flwr_digest.learning.arrays import Doubles, Floats, Integers
from flwr_digest.learning.datasets import Dataset
from flwr_digest.learning.tasks import Task
from flwr_digest.sim.methods import Settings
from flwr_digest.sim.problem import Problem
from flwr_digest.sim.record import Recorder
from flwr_digest.sim.scenario import Scenario
from flwr_digest.topology.graphs import build_topology

SMALL = Scenario(
    name="small",
    nodes=5,
    topology="small-world",
    batch_size=3,
    steps=60.0,
    transfer_seconds=0.5,
    latency_seconds=0.25,
    measurements=4,
)
STEADY = replace(SMALL, compute="fixed", speed_spread=0.0)
"""Each step takes a second at each node."""


class MeanTask:
    """Finds the mean of all samples: the loss of a model is half its squared distance from each.

    Unlike with matrix products, what a model gets cannot depend on who else is in the batch, not
    even in the last bit.
    """

    size = 20

    def initial(self, seed: int) -> npt.NDArray[np.float32]:
        return np.zeros(self.size, dtype=np.float32)

    def gradients(self, models: Floats, x: Floats, y: Integers) -> Floats:
        means: Floats = x.mean(axis=1)
        return models - means

    def evaluate(self, models: Floats, x: Floats, y: Integers) -> tuple[Doubles, Doubles]:
        losses = [0.5 * float(np.square(model - x).sum(axis=1).mean()) for model in models]
        return np.array(losses), np.ones(len(models))


class UnitTask:
    """With a learning rate of 1, each step of node v moves the values `v` modulo N by 1.

    So a model says by itself how many steps of whom it contains. The samples tell who it is.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def initial(self, seed: int) -> npt.NDArray[np.float32]:
        return np.zeros(self.size, dtype=np.float32)

    def gradients(self, models: Floats, x: Floats, y: Integers) -> Floats:
        return -x[:, 0, :]

    def evaluate(self, models: Floats, x: Floats, y: Integers) -> tuple[Doubles, Doubles]:
        return np.zeros(len(models)), np.ones(len(models))


def mean_problem(scenario: Scenario = SMALL, seed: int = 0) -> Problem:
    """Return a problem of 20 values, see `MeanTask`; each node has 6 samples around its own."""
    draws = np.random.default_rng([seed, 1])
    x = draws.standard_normal((6 * scenario.nodes, 20)).astype(np.float32)
    x += np.repeat(np.arange(scenario.nodes, dtype=np.float32), 6)[:, np.newaxis]
    return _problem(scenario, seed, x, MeanTask())


def unit_problem(scenario: Scenario, shards: int, seed: int = 0) -> Problem:
    """Return a problem with one value for each node in each shard, see `UnitTask`."""
    steady_rate = replace(scenario, learning_rate=1.0, decay=0.0, batch_size=1)
    nodes = scenario.nodes
    x = np.tile(np.eye(nodes, dtype=np.float32), (1, shards))
    return _problem(steady_rate, seed, x, UnitTask(nodes * shards))


def _problem(scenario: Scenario, seed: int, x: Floats, task: Task) -> Problem:
    y = np.zeros(len(x), dtype=np.int64)
    data = Dataset(name="made up", train_x=x, train_y=y, test_x=x, test_y=y, classes=1)
    return Problem(
        scenario=scenario,
        seed=seed,
        dataset=data,
        parts=tuple(np.array_split(np.arange(len(x)), scenario.nodes)),
        weights=np.full(scenario.nodes, 1 / scenario.nodes),
        task=task,
        best_loss=0.0,
        neighbors=build_topology(scenario.topology, range(scenario.nodes), seed),
        initial=task.initial(seed),
    )


def recorder_of(problem: Problem) -> Recorder:
    return Recorder(problem, problem.scenario.seconds)


def settings(**fields: Any) -> Settings:  # noqa: ANN401
    return Settings(**fields)
