"""What is made of the figures of several rounds, and what a process tells of itself."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from flwr_digest.benches.measures import (
    Spread,
    cpu_seconds,
    median_ratio,
    peak_bytes,
    ratio_spread,
    reset_peak,
    spread,
)

MOST_SORTS = 1000  # ten seconds' worth


def test_a_spread_is_the_middle_half() -> None:
    assert spread([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(low=2.0, high=4.0)
    assert spread([7.0]) == Spread(low=7.0, high=7.0)


def test_ratios_are_taken_round_by_round() -> None:
    ours, theirs = [1.0, 10.0, 2.0], [3.0, 20.0, 10.0]

    assert median_ratio(ours, theirs) == 3.0
    assert ratio_spread(ours, theirs) == Spread(low=2.5, high=4.0)


def test_rounds_of_unequal_number_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="shorter"):
        median_ratio([1.0, 2.0], [1.0])


def test_processor_time_only_grows() -> None:
    before = cpu_seconds()
    for _ in range(MOST_SORTS):  # some systems count in steps of a hundredth of a second
        np.sort(np.random.default_rng(0).random(300_000))
        assert cpu_seconds() >= before
        if cpu_seconds() > before:
            return

    pytest.fail("no processor time was counted")


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell")
def test_the_peak_is_that_since_it_was_reset() -> None:
    size = 64 << 20
    before = reset_peak()
    assert before is not None
    np.ones(size, dtype=np.uint8)
    peak = peak_bytes()
    assert peak is not None
    assert 0.9 * size < peak - before < 2 * size

    reset_peak()

    after = peak_bytes()
    assert after is not None
    assert after < peak - size / 2
