"""Short ways to make the problems that the rivals' tests are about."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from flwr_digest.learning.arrays import Floats, Integers
from flwr_digest.sim.faults import Absence, Outage
from flwr_digest.sim.methods import Settings
from flwr_digest.sim.problem import Problem, make_problem
from flwr_digest.sim.record import Recorder
from flwr_digest.sim.scenario import Scenario

NODES = 6
FULL_BATCH = 250
"""All that each of six nodes has: a minibatch is then no more random than the gradient."""

SMALL = Scenario(
    name="small",
    model="least-squares",
    nodes=NODES,
    topology="ring",
    batch_size=8,
    learning_rate=0.05,
    steps=40.0,
    transfer_seconds=2.0,
    latency_seconds=0.5,
    measurements=4,
)
STEADY = replace(SMALL, compute="fixed", speed_spread=0.0)
"""Each step takes a second at each node."""

FAULTY = replace(
    SMALL,
    loss=0.2,
    outages=(Outage(start_seconds=10.0, end_seconds=15.0, nodes=(0, 1)),),
    absences=(Absence(node=4, start_seconds=5.0, end_seconds=12.0),),
)


@cache
def problem_of(scenario: Scenario, seed: int = 0) -> Problem:
    return make_problem(scenario, seed)


def small(scenario: Scenario = SMALL, **fields: Any) -> Problem:  # noqa: ANN401
    return problem_of(replace(scenario, **fields))


def recorder_of(problem: Problem) -> Recorder:
    return Recorder(problem, problem.scenario.seconds)


def settings(**fields: Any) -> Settings:  # noqa: ANN401
    return Settings(**fields)


def full_gradients(problem: Problem, models: Floats) -> Floats:
    """Return each node's gradient on all its samples, computed apart from all else."""
    data, rows = problem.dataset, []
    for part, model in zip(problem.parts, models, strict=True):
        x, y = data.train_x[part], data.train_y[part]
        rows.append(problem.task.gradients(model[np.newaxis], x[np.newaxis], y[np.newaxis])[0])
    return np.array(rows)


def descend(problem: Problem, rate: float, steps: int) -> Floats:
    """Return the model after gradient descent on the weighted loss."""
    model = np.array(problem.initial)
    for _ in range(steps):
        gradients = full_gradients(problem, np.tile(model, (problem.nodes, 1)))
        model = model - rate * (problem.weights @ gradients).astype(np.float32)
    return model


def first_gradients(problem: Problem, models: Floats) -> Floats:
    """Return each node's gradient on its first minibatch."""
    nodes: Integers = np.arange(problem.nodes)
    return problem.task.gradients(models, *problem.batches().next(nodes))


def random_models(problem: Problem, seed: int = 0) -> Floats:
    draws = np.random.default_rng(seed)
    return draws.standard_normal((problem.nodes, problem.task.size)).astype(np.float32)
