"""How fast the simulator is, next to others that make the same local steps on the same machine.

All are measured in one run, taking turns, so what else the machine does meets all of them alike.
Softmax regression of the digits, minibatches of 10: the local steps are so small that whatever
else a simulator does shows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from flwr_digest.sim.methods import Settings, run_method
from flwr_digest.sim.problem import Problem, make_problem
from flwr_digest.sim.scenario import Scenario

BATCH_SIZE = 10
"""Samples per local step: small, so that the batches alone do not decide."""

SEED = 1

Loop = Callable[[Problem, int], None]
"""Makes so many local steps at each node, of the problem's model on the problem's data."""


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
        Nodes, local steps of each node in each repeat, and how often all take their turn.
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

    def simulate(problem: Problem, steps: int) -> None:
        run_method(problem, method, Settings())

    loops = (simulate, module_loop, batched_loop)
    seconds = [_turns(problem, loops, tell, turn, repeats) for turn in range(repeats)]
    return Speed(
        nodes=nodes,
        node_steps_per_second=nodes * steps / median(ours for ours, _, _ in seconds),
        over_module_loop=median(modules / ours for ours, modules, _ in seconds),
        over_batched_bound=median(bound / ours for ours, _, bound in seconds),
    )


def _turns(
    problem: Problem,
    loops: Sequence[Loop],
    tell: Callable[[float], None],
    turn: int,
    turns: int,
) -> list[float]:
    """Return how many seconds each loop took in one turn."""
    seconds = []
    for loop in loops:
        begin = time.perf_counter()
        loop(problem, round(problem.scenario.steps))
        seconds.append(time.perf_counter() - begin)
        tell((turn + len(seconds) / len(loops)) / turns)
    return seconds


def batched_loop(problem: Problem, steps: int) -> None:
    """Make the local steps and nothing else: the nodes all at once, without links or a clock."""
    data, nodes = problem.dataset, problem.nodes
    weights = np.zeros((nodes, data.features, data.classes), dtype=np.float32)
    rate, penalty = np.float32(problem.scenario.learning_rate), problem.scenario.regularization
    rows, columns = np.arange(nodes)[:, None], np.arange(BATCH_SIZE)
    draws = np.random.default_rng(SEED)
    drawn = draws.integers(len(data.train_y), size=(steps, nodes, BATCH_SIZE))
    for samples in drawn:
        x, y = data.train_x[samples], data.train_y[samples]
        errors = np.matmul(x, weights)
        errors -= errors.max(axis=2, keepdims=True)
        np.exp(errors, out=errors)
        errors /= errors.sum(axis=2, keepdims=True)
        errors[rows, columns, y] -= 1
        gradients = np.matmul(x.transpose(0, 2, 1), errors)
        weights -= rate * (gradients / np.float32(BATCH_SIZE) + np.float32(penalty) * weights)
