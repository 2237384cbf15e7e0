"""The pace counts local steps since the stream left, and holds it where a tour begins."""

from __future__ import annotations

import pytest

from flwr_digest.core.pace import Pace
from flwr_digest.core.walk import Walk
from tests.unit.core.builders import config


def pace(local_steps: int = 3, walk: Walk = Walk.TOUR) -> Pace:
    return Pace(config=config(local_steps=local_steps, walk=walk))


def test_it_holds_a_stream_until_the_steps_are_made() -> None:
    made = pace()
    assert [made.missing_steps(steps) for steps in (0, 2, 3)] == [3, 1, 0]


def test_it_counts_from_when_the_stream_left() -> None:
    made = pace()
    made.left(steps=10)
    assert made.missing_steps(11) == 2
    assert not made.is_kept(12)
    assert made.is_kept(13)


def test_in_the_middle_of_a_tour_it_holds_nothing() -> None:
    made = pace()
    made.arrived()
    assert made.missing_steps(0) <= 0
    made.tour_begins()
    assert made.missing_steps(0) == 3


@pytest.mark.parametrize("walk", [Walk.RANDOM, Walk.METROPOLIS])
def test_on_a_random_walk_it_holds_everywhere(walk: Walk) -> None:
    made = pace(walk=walk)
    made.arrived()
    assert made.missing_steps(0) == 3


def test_a_walk_that_stays_takes_one_more_step_each_time() -> None:
    made = pace(local_steps=0, walk=Walk.METROPOLIS)
    made.stay(steps=4)
    assert [made.missing_steps(steps) for steps in (4, 5)] == [1, 0]
    made.stay(steps=5)
    assert (made.stays, made.missing_steps(5)) == (2, 1)
    made.left(steps=6)
    assert (made.stays, made.missing_steps(6)) == (0, 0)
