"""DIGEST comes to the optimum, not only close: on a problem whose optimum is known exactly.

Full batches leave no noise, so what is seen is what the method itself does. Distances are shares
of the distance at the start; the figures behind the bounds were measured.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flwr_digest.sim.scenario import Scenario
from tests.sim.quadratic import (
    FULL_BATCHES,
    Course,
    course_of,
    middle_and_last_third,
    speeds,
)

CLOSE = 1e-3
STREAMS: dict[str, dict[str, Any]] = {
    "single stream": {"shards": 1},
    "4 shards": {"shards": 4},
    "3 regions": {"regions": 3},
}
PLAIN_STEPS = {
    ("iid", "single stream"): 3000.0,
    ("iid", "4 shards"): 2000.0,
    ("iid", "3 regions"): 2000.0,
    ("by-label", "single stream"): 5000.0,
    ("by-label", "4 shards"): 2500.0,
    ("by-label", "3 regions"): 4000.0,
}
"""How long it takes to come close: the error falls as the step size, and that as one over time."""

CORRECTED = replace(
    FULL_BATCHES,
    learning_rate=0.015,
    decay=0.002,
    steps=2000.0,
    compute="exponential",
    transfer_seconds=6.4,
)
"""A step size below one over the age of the rates, in steps, and the curvature: else they swing.

The links are slow, so that the rates are old.
"""


def assert_converges(course: Course, falls_to: float) -> None:
    """Check that all come close, and in the last third are at that share of the middle third."""
    for distances in (course.farthest, course.of_average):
        assert distances[-3:].max() < CLOSE
        middle, last = middle_and_last_third(distances)
        assert last < falls_to * middle


@pytest.mark.parametrize(("partition", "streams"), PLAIN_STEPS)
def test_with_decreasing_steps_all_nodes_come_to_the_optimum(partition: str, streams: str) -> None:
    scenario = replace(FULL_BATCHES, partition=partition, steps=PLAIN_STEPS[partition, streams])
    # Measured 0.45 to 0.68 of the middle third; an error that falls as 1/t comes to 0.58.
    assert_converges(course_of(scenario, local_steps=0, **STREAMS[streams]), falls_to=0.8)


@pytest.mark.parametrize("streams", STREAMS)
@pytest.mark.parametrize("partition", ["iid", "by-label"])
def test_with_drift_correction_they_come_there_sooner(partition: str, streams: str) -> None:
    # A shard's transfer takes a fourth.
    transfer_seconds = CORRECTED.transfer_seconds * (3 if streams == "4 shards" else 1)
    scenario = replace(CORRECTED, partition=partition, transfer_seconds=transfer_seconds)
    course = course_of(scenario, local_steps=0, drift_correction=True, **STREAMS[streams])
    assert_converges(course, falls_to=0.2)  # measured 0.01 to 0.05


@pytest.mark.parametrize("streams", STREAMS)
@pytest.mark.parametrize("partition", ["iid", "by-label"])
def test_visits_without_news_do_not_keep_them_from_it(partition: str, streams: str) -> None:
    scenario = replace(
        CORRECTED, partition=partition, transfer_seconds=0.5, speed_spread=0.3, steps=1000.0
    )
    course = course_of(scenario, local_steps=0, drift_correction=True, **STREAMS[streams])
    # Measured 3e-5 to 7e-5. As soon as some guards trip, all stay a few hundredths away.
    assert course.farthest[-3:].max() < CLOSE


def steady(learning_rate: float, steps: float) -> Scenario:
    return replace(
        FULL_BATCHES, partition="by-label", decay=0.0, learning_rate=learning_rate, steps=steps
    )


def test_the_error_of_plain_local_steps_is_proportional_to_the_step_size() -> None:
    errors = [
        middle_and_last_third(course_of(steady(rate, 10 / rate), local_steps=0).farthest)[1]
        for rate in (0.02, 0.01, 0.005)
    ]
    assert errors[0] == pytest.approx(0.02, rel=0.3)
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.1)
    assert errors[2] == pytest.approx(errors[0] / 4, rel=0.1)


def test_drift_correction_has_no_such_error() -> None:
    course = course_of(steady(0.02, 1500.0), local_steps=0, drift_correction=True)
    assert course.farthest[-3:].max() < 1e-5  # measured 4.5e-7: the last digits of float32


UNEQUAL = replace(FULL_BATCHES, partition="by-label", speed_spread=0.5, steps=4000.0)


def test_plain_local_steps_count_nodes_by_their_speed() -> None:
    by_speed = course_of(UNEQUAL, speeds(UNEQUAL), local_steps=0)
    evenly = course_of(UNEQUAL, local_steps=0)
    assert by_speed.farthest[-3:].max() < 2 * CLOSE  # measured 1.4e-3, and falling
    middle, last = middle_and_last_third(by_speed.farthest)
    assert last < 0.8 * middle
    assert evenly.of_average[-3:].min() > 0.03


def test_drift_correction_counts_all_nodes_the_same_whatever_their_speed() -> None:
    scenario = replace(UNEQUAL, learning_rate=0.02, decay=0.001, steps=1500.0, transfer_seconds=1.0)
    course = course_of(scenario, local_steps=0, drift_correction=True)
    assert_converges(course, falls_to=0.2)  # measured 0.01


@pytest.mark.parametrize("partition", ["iid", "by-label"])
def test_the_noise_of_minibatches_vanishes_with_the_steps_too(partition: str) -> None:
    scenario = replace(
        FULL_BATCHES, partition=partition, batch_size=3, compute="exponential", steps=4000.0
    )
    course = course_of(scenario, local_steps=0)
    soon = float(course.farthest[3:6].mean())  # around step 670
    _, last = middle_and_last_third(course.farthest)
    assert last < 0.7 * soon  # noise falls as the root of the step size: to 0.45 from there
    assert last < 5 * CLOSE
