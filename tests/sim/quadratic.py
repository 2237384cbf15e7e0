"""A small least-squares problem whose optimum is known, and how far a run stays from it."""

from __future__ import annotations

from typing import Any

import numpy as np

from flwr_digest.learning.arrays import Doubles, Floats
from flwr_digest.learning.datasets import Dataset
from flwr_digest.learning.least_squares import LeastSquares
from flwr_digest.learning.partitions import partition
from flwr_digest.sim.methods import Settings
from flwr_digest.sim.digest.run import run_digest
from flwr_digest.sim.problem import Problem
from flwr_digest.sim.record import Recorder
from flwr_digest.sim.scenario import Scenario
from flwr_digest.topology.graphs import build_topology

CLASSES = FEATURES = 6
SAMPLES, NOISE = 12, 0.25


def blobs(nodes: int, seed: int) -> Dataset:
    draws = np.random.default_rng([seed, 1])
    y = np.repeat(np.arange(CLASSES), nodes * SAMPLES // CLASSES)
    axes = draws.standard_normal((CLASSES, CLASSES))
    axes[:, 0] = 1
    centers = np.sqrt(CLASSES) * np.linalg.qr(axes).Q[:, ::-1]
    x = centers[y] + NOISE * draws.standard_normal((len(y), FEATURES))
    x[:, -1] = 1
    x = x.astype(np.float32)
    return Dataset(name="blobs", train_x=x, train_y=y, test_x=x, test_y=y, classes=CLASSES)


def quadratic(scenario: Scenario, seed: int = 0) -> Problem:
    data = blobs(scenario.nodes, seed)
    task = LeastSquares(FEATURES, CLASSES, scenario.regularization)
    return Problem(
        scenario=scenario,
        seed=seed,
        dataset=data,
        parts=tuple(partition(scenario.partition, data.train_y, scenario.nodes, seed)),
        weights=np.full(scenario.nodes, 1 / scenario.nodes),
        task=task,
        best_loss=0.0,
        neighbors=build_topology(scenario.topology, range(scenario.nodes), seed),
        initial=task.initial(seed),
    )


class Distances(Recorder):
    def __init__(self, problem: Problem, optimum: Doubles) -> None:
        super().__init__(problem, problem.scenario.seconds)
        self._optimum = optimum
        self.worst: list[float] = []
        self.of_average: list[float] = []

    def measure(self, time: float, models: Floats, **values: Any) -> None:
        super().measure(time, models, **values)
        apart = models - self._optimum
        scale = float(np.linalg.norm(self._optimum))
        self.worst.append(float(np.linalg.norm(apart, axis=1).max()) / scale)
        self.of_average.append(float(np.linalg.norm(apart.mean(axis=0))) / scale)
