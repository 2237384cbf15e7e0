"""Local steps on a time line with absences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.sim.faults import Absence
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
