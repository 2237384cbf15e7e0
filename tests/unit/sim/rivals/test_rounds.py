"""Rounds under local barriers: who is in which round, and what is measured of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from flwr_digest.learning.arrays import Doubles, Floats
from flwr_digest.sim.faults import Absence
from flwr_digest.sim.problem import Problem
from flwr_digest.sim.record import Row
from flwr_digest.sim.rivals.rounds import run_rounds
from tests.unit.sim.rivals.builders import STEADY, recorder_of, settings, small


class CountingRounds:
    """A method whose models are all the number of the round."""

    def __init__(self, problem: Problem) -> None:
        self.models: Floats = np.zeros((problem.nodes, problem.task.size), dtype=np.float32)
        self.rates: list[float] = []

    def round(self, rate: float) -> None:
        self.rates.append(rate)
        self.models = self.models + np.float32(1)


class Pauses:
    """An exchange after which each node pauses for so long; one byte at each round's start."""

    def __init__(self, pauses: Sequence[float]) -> None:
        self.pauses: Doubles = np.array(pauses, dtype=np.float64)
        self.sent_at: list[float] = []

    def __call__(self, starts: Doubles, ends: Doubles) -> Doubles:
        self.sent_at.extend(starts.tolist())
        return ends + self.pauses

    def bytes_by(self, time: float) -> int:
        return sum(at <= time for at in self.sent_at)


def rows_of(
    problem: Problem, pauses: Sequence[float], steps: int, lag: Doubles | None = None
) -> list[Row]:
    recorder = recorder_of(problem)
    run_rounds(
        problem,
        settings(),
        recorder,
        CountingRounds(problem),
        Pauses(pauses),
        local_steps=steps,
        lag_rounds=lag,
    )
    return recorder.rows


def consensus(problem: Problem, rounds: Sequence[int]) -> float:
    """Return the consensus distance of models that are all the number of the node's round."""
    return float(np.std(rounds)) * float(np.sqrt(problem.task.size))


def test_each_node_is_measured_in_the_round_that_it_is_in() -> None:
    problem = small(STEADY)  # rounds of 2 steps, 1 s each, and a pause: 3, 3, 4, 4, 5 and 12 s
    first, second, *_ = rows_of(problem, [1, 1, 2, 2, 3, 10], steps=2)
    assert first.consensus_distance == pytest.approx(consensus(problem, [3, 3, 2, 2, 2, 0]))
    assert second.consensus_distance == pytest.approx(consensus(problem, [6, 6, 5, 5, 4, 1]))


def test_steps_within_the_round_count() -> None:
    first, second, *_ = rows_of(small(STEADY), [1, 1, 2, 2, 3, 10], steps=2)
    assert first.steps == pytest.approx(np.mean([7, 7, 6, 6, 4, 2]))  # at 10 s
    assert second.steps == pytest.approx(np.mean([14, 14, 10, 10, 8, 4]))  # at 20 s


def test_who_waits_is_idle() -> None:
    row = rows_of(small(STEADY), [1, 1, 2, 2, 3, 10], steps=2)[0]
    trained = np.mean([7, 7, 6, 6, 4, 2])  # at 10 s nobody is within a step
    assert row.idle_share == pytest.approx(1 - trained / 10)


def test_a_part_of_a_step_is_no_step_but_not_idle() -> None:
    row = rows_of(small(STEADY, step_seconds=4.0, steps=10), [0] * 6, steps=1)[0]
    assert (row.steps, row.idle_share) == (2.0, 0.0)  # of 4 s each, at 10 s


def test_an_absence_is_idle_time() -> None:
    away = Absence(node=3, start_seconds=2.5, end_seconds=5.5)
    row = rows_of(small(STEADY, absences=(away,)), [0] * 6, steps=1)[0]
    assert row.steps == pytest.approx((5 * 10 + 7) / 6)
    assert row.idle_share == pytest.approx(3 / 60)


def test_bytes_are_those_sent_by_the_time_of_the_measurement() -> None:
    rows = rows_of(small(STEADY), [8] * 6, steps=2)
    assert [row.bytes_sent for row in rows] == [12, 18, 24, 30]


def test_staleness_is_what_others_have_done_since_the_round_began() -> None:
    problem = small(STEADY)
    lag = np.zeros((6, 6))
    rows = rows_of(problem, [1] * 6, steps=4, lag=lag)  # rounds of 5 s, four steps each
    assert [row.staleness_steps for row in rows] == [0.0] * 4
    rows = rows_of(problem, [2] * 6, steps=4, lag=lag)  # of 6 s: at 10 s all have made 4 of them
    assert [row.staleness_steps for row in rows] == [4.0, 2.0, 0.0, 4.0]


def test_staleness_counts_the_rounds_that_news_takes() -> None:
    lag = np.full((6, 6), 2.0)
    rows = rows_of(small(STEADY), [1] * 6, steps=4, lag=lag)
    assert [row.staleness_steps for row in rows] == [8.0] * 4
    lag = np.full((6, 6), 3.0)  # in the first two rounds there is nothing older to miss
    assert rows_of(small(STEADY), [1] * 6, steps=4, lag=lag)[0].staleness_steps == 8.0


def test_a_method_without_the_notion_has_no_staleness() -> None:
    assert {row.staleness_steps for row in rows_of(small(STEADY), [1] * 6, steps=4)} == {None}


def test_all_nodes_of_a_round_have_the_rate_of_its_mean_start() -> None:
    problem = small(STEADY, decay=1.0)
    method = CountingRounds(problem)
    pauses = Pauses([0, 0, 0, 0, 0, 6])
    run_rounds(problem, settings(), recorder_of(problem), method, pauses, local_steps=1)
    assert method.rates[:3] == pytest.approx([0.05, 0.05 / (1 + 2), 0.05 / (1 + 4)])
