"""A quadratic problem with a known optimum, and how far from it the nodes of a run are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flwr_digest.learning.arrays import Doubles, Floats
from flwr_digest.learning.datasets import Dataset
from flwr_digest.learning.least_squares import LeastSquares
from flwr_digest.learning.partitions import partition
from flwr_digest.sim.digest.run import run_digest
from flwr_digest.sim.methods import Settings
from flwr_digest.sim.problem import Problem
from flwr_digest.sim.record import Recorder
from flwr_digest.sim.scenario import Scenario
from flwr_digest.topology.graphs import build_topology

NODES = CLASSES = FEATURES = 6
SAMPLES = 12
NOISE = 0.25
EVEN: Doubles = np.full(NODES, 1 / NODES)

FULL_BATCHES = Scenario(
    name="quadratic",
    nodes=NODES,
    topology="small-world",
    batch_size=SAMPLES,
    learning_rate=0.2,
    decay=0.1,
    compute="fixed",
    speed_spread=0.0,
    transfer_seconds=0.5,
    latency_seconds=0.25,
    measurements=30,
)
"""All samples in each batch and a second for each step: nothing is random but the tours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """Distances to the optimum over a run, as shares of the distance at the start.

    `farthest` is of the node that is farthest off, `of_average` of the nodes' average model; both
    have one value for each measurement.
    """

    farthest: Doubles
    of_average: Doubles


def middle_and_last_third(values: Doubles) -> tuple[float, float]:
    """Return the means over the middle and over the last third."""
    _, middle, last = np.array_split(values, 3)
    return float(middle.mean()), float(last.mean())


def course_of(scenario: Scenario, weights: Doubles = EVEN, **settings: Any) -> Course:  # noqa: ANN401
    """Run DIGEST and watch how far it is from the optimum of the nodes' losses, so weighted."""
    problem = quadratic_problem(scenario)
    watch = _Distances(problem, best_model(problem, weights))
    run_digest(problem, Settings(**settings), watch)
    return Course(farthest=np.array(watch.farthest), of_average=np.array(watch.of_average))


def speeds(scenario: Scenario) -> Doubles:
    """Return what share of all local steps each node makes."""
    steps_per_second: Doubles = 1 / quadratic_problem(scenario).compute().mean_seconds
    shares: Doubles = steps_per_second / steps_per_second.sum()
    return shares


def quadratic_problem(scenario: Scenario) -> Problem:
    """Return least squares on samples around one center for each class, a class for each node."""
    data = _samples()
    task = LeastSquares(FEATURES, CLASSES, scenario.regularization)
    return Problem(
        scenario=scenario,
        seed=0,
        dataset=data,
        parts=tuple(partition(scenario.partition, data.train_y, NODES, 0)),
        weights=EVEN,
        task=task,
        best_loss=0.0,
        neighbors=build_topology(scenario.topology, range(NODES), 0),
        initial=task.initial(0),
    )


def best_model(problem: Problem, weights: Doubles) -> Doubles:
    """Return the model with the least weighted loss, by the normal equations."""
    data, penalty = problem.dataset, problem.scenario.regularization
    shares = np.empty(len(data.train_y))
    for part, weight in zip(problem.parts, weights, strict=True):
        shares[part] = weight / len(part)
    x, targets = data.train_x.astype(np.float64), np.eye(CLASSES)[data.train_y]
    curvature = x.T @ (shares[:, np.newaxis] * x) + penalty * np.eye(FEATURES)
    best = np.linalg.solve(curvature, x.T @ (shares[:, np.newaxis] * targets))
    return np.asarray(best, dtype=np.float64).reshape(-1)


def _samples() -> Dataset:
    """Return samples whose curvature is nearly the same in all directions (measured: 0.83 to 1.17).

    The centers are at right angles to each other. Their last feature is the constant.
    """
    draws = np.random.default_rng([0, 1])
    axes = draws.standard_normal((CLASSES, FEATURES))
    axes[:, 0] = 1
    centers = np.sqrt(CLASSES) * np.linalg.qr(axes).Q[:, ::-1]
    y = np.repeat(np.arange(CLASSES), SAMPLES)
    x = centers[y] + NOISE * draws.standard_normal((len(y), FEATURES))
    x[:, -1] = 1
    x32: npt.NDArray[np.float32] = x.astype(np.float32)
    return Dataset(name="blobs", train_x=x32, train_y=y, test_x=x32, test_y=y, classes=CLASSES)


class _Distances(Recorder):
    """Notes the distances whenever the nodes' models are measured."""

    def __init__(self, problem: Problem, optimum: Doubles) -> None:
        super().__init__(problem, problem.scenario.seconds)
        self._optimum = optimum
        self._start = float(np.linalg.norm(problem.initial - optimum))
        self.farthest: list[float] = []
        self.of_average: list[float] = []

    def measure(self, time: float, models: Floats, **values: Any) -> None:  # noqa: ANN401
        super().measure(time, models, **values)
        apart = models - self._optimum
        self.farthest.append(float(np.linalg.norm(apart, axis=1).max()) / self._start)
        self.of_average.append(float(np.linalg.norm(apart.mean(axis=0))) / self._start)
