"""Curves: medians over seeds."""

from __future__ import annotations

import math

import numpy as np

from tests.unit.report.measurements import curve_of


def test_a_curve_is_the_median_over_the_seeds() -> None:
    curve = curve_of([1.0, 0.5], [3.0, 0.1], [2.0, 0.2])

    assert curve.median("gap_mean").tolist() == [2.0, 0.2]
    assert curve.median("time_seconds").tolist() == [1.0, 2.0]
    assert curve.last_gap == 0.2


def test_the_shortest_run_bounds_the_curve() -> None:
    assert curve_of([1.0, 0.5, 0.2], [1.0, 0.5]).median("gap_mean").tolist() == [1.0, 0.5]


def test_what_diverged_is_not_drawn_and_comes_last() -> None:
    curve = curve_of([1.0, math.inf], [1.0, math.nan])

    np.testing.assert_array_equal(curve.median("gap_mean"), [1.0, np.nan])
    assert curve.last_gap == math.inf


def test_one_seed_of_three_that_diverged_does_not_decide() -> None:
    assert curve_of([1.0, math.inf], [1.0, 0.3], [1.0, 0.2]).last_gap == 0.3
