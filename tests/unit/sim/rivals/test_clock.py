"""Local steps on a time line with absences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.sim.faults import Absence, Freeze, Slowdown
from flwr_digest.sim.rivals.clock import Clock
from tests.unit.sim.rivals.builders import SMALL, STEADY, small

AWAY = (
    Absence(node=2, start_seconds=3.5, end_seconds=7.0),
    Absence(node=2, start_seconds=9.0, end_seconds=10.0),
)


def steady_clock() -> Clock:
    """Return a clock of nodes whose steps take a second each."""
    return Clock(small(STEADY, absences=AWAY))


def test_without_absences_steps_follow_each_other() -> None:
    problem = small(SMALL)
    finishes = Clock(problem).finishes(1, 2.0, 5, 4)
    assert finishes.tolist() == (2.0 + np.cumsum(problem.compute().durations(1, 5, 4))).tolist()


def test_an_interrupted_step_goes_on_after_the_absence() -> None:
    finishes = steady_clock().finishes(2, 0.0, 0, 6)
    assert finishes.tolist() == [1.0, 2.0, 3.0, 7.5, 8.5, 10.5]


def test_a_step_that_is_done_as_the_node_leaves_is_done() -> None:
    assert steady_clock().finishes(2, 8.0, 0, 2).tolist() == [9.0, 11.0]


def test_a_step_that_should_begin_in_an_absence_begins_after_it() -> None:
    assert steady_clock().finishes(2, 5.0, 0, 1).tolist() == [8.0]


def test_other_nodes_go_on() -> None:
    assert steady_clock().finishes(3, 3.0, 0, 2).tolist() == [4.0, 5.0]


@pytest.mark.parametrize(
    ("until", "present"), [(0.0, 0.0), (3.0, 3.0), (5.0, 3.5), (8.0, 4.5), (20.0, 15.5)]
)
def test_present_seconds_leave_out_absences(until: float, present: float) -> None:
    assert steady_clock().present_seconds(2, until) == present
    assert steady_clock().present_seconds(1, until) == until


@given(start=st.floats(0, 30), count=st.integers(1, 8))
def test_steps_take_exactly_the_time_in_which_the_node_is_there(start: float, count: int) -> None:
    clock = steady_clock()
    for finish, steps in zip(clock.finishes(2, start, 0, count), range(1, count + 1), strict=True):
        present = clock.present_seconds(2, finish) - clock.present_seconds(2, start)
        assert present == pytest.approx(steps)


SLOW = Slowdown(node=2, start_seconds=2.5, end_seconds=6.5, factor=4.0)


def test_a_frozen_node_does_not_train() -> None:
    clock = Clock(small(STEADY, freezes=(Freeze(node=2, start_seconds=3.5, end_seconds=7.0),)))
    assert clock.finishes(2, 0.0, 0, 5).tolist() == [1.0, 2.0, 3.0, 7.5, 8.5]
    assert clock.present_seconds(2, 10.0) == 6.5


def test_the_steps_of_a_slow_node_take_longer_meanwhile() -> None:
    clock = Clock(small(STEADY, slowdowns=(SLOW,)))
    assert clock.finishes(2, 0.0, 0, 5).tolist() == [1.0, 2.0, 4.5, 7.0, 8.0]
    assert clock.finishes(2, 4.5, 3, 1).tolist() == [7.0]
    assert clock.present_seconds(2, 10.0) == 10.0
    assert clock.finishes(3, 0.0, 0, 2).tolist() == [1.0, 2.0]


def test_a_node_may_be_slow_and_away() -> None:
    away = Absence(node=2, start_seconds=3.0, end_seconds=5.0)
    clock = Clock(small(STEADY, slowdowns=(SLOW,), absences=(away,)))
    # Two and a half steps by 2.5; an eighth by 3; three eighths from 5 to 6.5; then as ever.
    assert clock.finishes(2, 0.0, 0, 4).tolist() == [1.0, 2.0, 6.5, 7.5]


def test_a_node_may_be_away_and_slow_from_the_start() -> None:
    away = Absence(node=2, start_seconds=0.0, end_seconds=2.0)
    slow = Slowdown(node=2, start_seconds=0.0, end_seconds=4.0, factor=2.0)
    clock = Clock(small(STEADY, slowdowns=(slow,), absences=(away,)))
    assert clock.finishes(2, 0.0, 0, 3).tolist() == [4.0, 5.0, 6.0]
