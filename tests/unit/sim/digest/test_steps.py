"""When local steps end: what the problem's clock says, however it is asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flwr_digest.sim.digest.steps import StepTimes
from flwr_digest.sim.faults import Absence
from flwr_digest.sim.rivals.clock import Clock
from tests.unit.sim.digest.builders import SMALL, STEADY, mean_problem


def test_a_step_counts_from_the_moment_it_ends() -> None:
    times = StepTimes(mean_problem(STEADY))
    assert [times.made_by(0, at) for at in (0.0, 0.999, 1.0, 2.5)] == [0, 0, 1, 2]
    assert times.end(0, 1) == 1.0


def test_ends_are_those_of_the_clock_far_ahead_too() -> None:
    problem = mean_problem(SMALL)
    times = StepTimes(problem)
    ends = [times.end(3, number) for number in range(1, 601)]
    durations = problem.compute().durations(3, 0, 600)
    np.testing.assert_allclose(np.diff(ends, prepend=0.0), durations, rtol=1e-9)
    assert times.made_by(3, ends[499]) == 500
    assert ends[:256] == Clock(problem).finishes(3, 0.0, 0, 256).tolist()


def test_an_absence_delays_the_step_that_it_interrupts() -> None:
    absence = Absence(node=1, start_seconds=2.5, end_seconds=6.0)
    times = StepTimes(mean_problem(replace(STEADY, absences=(absence,))))
    assert [times.end(1, number) for number in (2, 3, 4)] == [2.0, 6.5, 7.5]
    assert times.made_by(1, 6.0) == 2
    assert times.present_seconds(1, 10.0) == pytest.approx(6.5)
    assert times.present_seconds(0, 10.0) == 10.0
