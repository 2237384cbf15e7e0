"""One model that walks: where to, how often, and what that costs."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.sim.faults import Absence, Outage
from flwr_digest.sim.problem import Problem
from flwr_digest.sim.record import Row
from flwr_digest.sim.rivals import random_walk
from flwr_digest.sim.rivals.random_walk import Walker
from tests.unit.sim.rivals.builders import STEADY, recorder_of, settings, small


def rows_of(problem: Problem, local_steps: int = 1) -> list[Row]:
    recorder = recorder_of(problem)
    random_walk.run(problem, settings(local_steps=local_steps), recorder)
    return recorder.rows


def visits(problem: Problem, count: int) -> np.ndarray:
    """Return which share of so many visits each node gets."""
    walker, seen = Walker(problem), np.zeros(problem.nodes)
    for _ in range(count):
        seen[walker.node] += 1
        there = walker.propose()
        assert there == walker.node or there in problem.neighbors[walker.node]
        walker.node = there
    return seen / count


@pytest.mark.parametrize("topology", ["ring", "small-world"])
def test_the_walk_is_at_all_nodes_equally_often(topology: str) -> None:
    problem = small(nodes=10, topology=topology)
    assert visits(problem, 40_000) == pytest.approx(np.full(10, 0.1), abs=0.02)


def test_the_walk_is_at_each_node_as_often_as_its_weight_says() -> None:
    problem = small(partition="unequal", weighting="by-size", topology="complete")
    assert np.ptp(problem.weights) > 0.1
    assert visits(problem, 40_000) == pytest.approx(problem.weights, abs=0.02)


def test_only_the_holder_learns() -> None:
    problem = small(STEADY, transfer_seconds=0.0, latency_seconds=0.0)
    final = rows_of(problem)[-1]
    assert final.steps == pytest.approx(40 / 6)
    assert final.idle_share == pytest.approx(5 / 6)


def test_while_the_model_is_under_way_nobody_learns() -> None:
    problem = small(STEADY)
    final = rows_of(problem)[-1]
    moves = final.models_sent
    assert moves == int(moves) > 0
    assert final.steps * 6 + 2.5 * moves == pytest.approx(40, abs=3.5)
    assert final.idle_share == pytest.approx(1 - final.steps / 40, abs=1 / 6 / 40)


def test_more_local_steps_make_fewer_moves() -> None:
    problem = small(STEADY)
    assert rows_of(problem, 10)[-1].models_sent < rows_of(problem, 1)[-1].models_sent
    assert rows_of(problem, 10)[-1].steps > rows_of(problem, 1)[-1].steps


def test_the_model_that_walks_is_that_of_all_nodes() -> None:
    for row in rows_of(small()):
        assert row.consensus_distance == 0
        assert row.gap_mean == row.gap_worst == row.gap_of_average
        assert row.staleness_steps is None


def test_the_model_stays_while_no_link_is_up() -> None:
    cut = tuple(Outage(start_seconds=0.0, end_seconds=39.0, nodes=(v,)) for v in range(6))
    rows = rows_of(small(STEADY, outages=cut))
    assert [row.bytes_sent for row in rows[:3]] == [0, 0, 0]
    assert rows[2].steps == pytest.approx(30 / 6)


def test_an_absent_holder_goes_on_when_it_is_back() -> None:
    absences = tuple(Absence(node=v, start_seconds=0.5, end_seconds=35.0) for v in range(6))
    rows = rows_of(small(STEADY, absences=absences))
    assert rows[2].steps == 0
    assert rows[2].idle_share == pytest.approx(1 - 0.5 / 30 / 6)
    assert rows[3].steps > 0
