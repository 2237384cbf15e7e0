"""How fast the simulator is, next to others that make the same local steps on the same machine.

All are measured in one run, taking turns, so what else the machine does meets all of them alike.
Softmax regression of the digits, minibatches of 10: the local steps are so small that whatever
else a simulator does shows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np

from flwr_digest.sim.methods import Settings, run_method
from flwr_digest.sim.problem import Problem, make_problem
from flwr_digest.sim.scenario import Scenario

BATCH_SIZE = 10
"""Samples per local step: small, so that the batches alone do not decide."""

SEED = 1

Loop = Callable[[Problem], float]
"""Makes local steps of the problem's model on its data; returns how many at all nodes together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """Medians over the repeats.

    Attributes
    ----------
    nodes : int
        How many nodes were simulated.
    node_steps_per_second : float
        Local steps of all nodes together that the simulator makes in a second.
    over_module_loop : float
        How many times as fast that is as one PyTorch module and optimizer for each node, stepped
        one after the other.
    over_batched_bound : float
        What share it is of the speed of NumPy making nothing but the same steps.
    """

    nodes: int
    node_steps_per_second: float
    over_module_loop: float
    over_batched_bound: float


def bench_problem(nodes: int, steps: int) -> Problem:
    """Return what is simulated; its models are measured once, at the end.

    Raises
    ------
    ConfigError
        A number is not allowed, or a package is missing.
    """
    scenario = Scenario(
        name="bench",
        nodes=nodes,
        steps=float(steps),
        partition="iid",
        batch_size=BATCH_SIZE,
        speed_spread=0.0,  # the loops beside it step all nodes equally often, too
        measurements=1,
    )
    return make_problem(scenario, SEED)


def simulator_speed(
    nodes: int,
    steps: int,
    repeats: int,
    module_loop: Loop,
    *,
    method: str = "digest",
    tell: Callable[[float], None],
) -> Speed:
    """Measure the simulator, the loop over modules and the bound in turns.

    Parameters
    ----------
    nodes, steps, repeats : int
        Nodes, mean local steps of a node in each repeat, and how often all take their turn.
    module_loop : callable
        What is compared with, made by someone who may load torch.
    method : str
        What is simulated, one of `METHODS`, with its default settings.
    tell : callable
        Told now and then which share is done, from 0 to 1.

    Raises
    ------
    ConfigError
        A number is not allowed, or a package is missing.
    """
    problem = bench_problem(nodes, steps)
    loops = (partial(simulate, method=method), module_loop, batched_loop)
    for loop in loops:
        loop(bench_problem(2, 2))  # whatever is loaded or set up once is not measured
    turns = []
    for turn in range(repeats):
        turns.append([_rate(loop, problem) for loop in loops])
        tell((turn + 1) / repeats)
    return Speed(
        nodes=nodes,
        node_steps_per_second=median(ours for ours, _, _ in turns),
        over_module_loop=median(ours / modules for ours, modules, _ in turns),
        over_batched_bound=median(ours / bound for ours, _, bound in turns),
    )


def _rate(loop: Loop, problem: Problem) -> float:
    """Return how many local steps a loop makes in a second."""
    begin = time.perf_counter()
    made = loop(problem)
    return made / (time.perf_counter() - begin)


def simulate(problem: Problem, method: str) -> float:
    """Run a method, whose models are measured once, at the end."""
    return run_method(problem, method, Settings()).final.steps * problem.nodes


def batched_loop(problem: Problem) -> float:
    """Make the local steps and nothing else: the nodes all at once, without links or a clock."""
    data, scenario, nodes = problem.dataset, problem.scenario, problem.nodes
    weights = np.zeros((nodes, data.features, data.classes), dtype=np.float32)
    rate, penalty = np.float32(scenario.learning_rate), np.float32(scenario.regularization)
    rows, columns = np.arange(nodes)[:, None], np.arange(scenario.batch_size)
    shape = (round(scenario.steps), nodes, scenario.batch_size)
    for samples in np.random.default_rng(SEED).integers(len(data.train_y), size=shape):
        x, y = data.train_x[samples], data.train_y[samples]
        errors = np.matmul(x, weights)
        errors -= errors.max(axis=2, keepdims=True)
        np.exp(errors, out=errors)
        errors /= errors.sum(axis=2, keepdims=True)
        errors[rows, columns, y] -= 1
        gradients = np.matmul(x.transpose(0, 2, 1), errors) / np.float32(scenario.batch_size)
        weights -= rate * (gradients + penalty * weights)
    return float(shape[0] * nodes)
