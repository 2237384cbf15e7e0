"""How fast the simulator is: what is counted, and against what."""

from __future__ import annotations

import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.sim.bench import batched_loop, bench_problem, simulate, simulator_speed
from flwr_digest.sim.problem import Problem


def test_the_bound_makes_as_many_steps_as_the_problem_says() -> None:
    assert batched_loop(bench_problem(3, 7)) == 21


def test_of_the_simulator_the_steps_that_were_made_are_counted() -> None:
    problem = bench_problem(4, 50)

    # Nodes of DIGEST never wait; those of FedAvg mostly do.
    assert simulate(problem, "digest") > 2 * simulate(problem, "fedavg")


def test_models_are_measured_once() -> None:
    assert bench_problem(2, 3).scenario.measurements == 1


def test_speeds_are_compared_in_local_steps_a_second() -> None:
    made: list[int] = []

    def slow(problem: Problem) -> float:
        """Claim a single step, so that each of the others is faster."""
        made.append(problem.nodes)
        batched_loop(problem)
        return 1.0

    told: list[float] = []
    speed = simulator_speed(3, 20, 2, slow, method="centralised", tell=told.append)

    assert speed.nodes == 3
    assert speed.node_steps_per_second > 0
    assert speed.over_module_loop > speed.over_batched_bound > 0
    assert made == [2, 3, 3]  # once to warm up
    assert told == [0.5, 1.0]


def test_numbers_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^nodes is 0"):
        bench_problem(0, 10)
