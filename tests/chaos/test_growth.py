"""Growth must be told from chance, and chance from growth."""

from __future__ import annotations

import os

import numpy as np

from tests.chaos.growth import grows, sample

TIMES = [float(second) for second in range(60)]
NOISE = np.random.default_rng(0).normal(0.0, 1.0, len(TIMES))


def test_what_grows_is_found_in_spite_of_noise() -> None:
    values = [100.0 + 0.2 * at + noise for at, noise in zip(TIMES, NOISE, strict=True)]

    assert 10.0 < grows(TIMES, values) < 14.0


def test_noise_alone_is_no_growth() -> None:
    assert grows(TIMES, [100.0 + noise for noise in NOISE]) == 0.0


def test_what_shrinks_or_hardly_grows_is_no_growth() -> None:
    assert grows(TIMES, [100.0 - at for at in TIMES]) == 0.0
    assert grows(TIMES, [100.0 + at / 100 for at in TIMES]) == 0.0


def test_one_more_descriptor_in_each_of_many_batches_is_growth() -> None:
    assert grows(TIMES, [20.0 + at for at in TIMES]) == 59.0


def test_some_growth_can_be_allowed() -> None:
    values = [20.0 + (at > 30.0) for at in TIMES]
    assert grows(TIMES, values) > 0.0
    assert grows(TIMES, values, least=4.0) == 0.0


def test_too_few_samples_tell_nothing() -> None:
    assert grows([0.0, 1.0], [1.0, 9.0]) == 0.0


def test_a_process_takes_something() -> None:
    taken = sample(os.getpid(), 1.0)

    assert taken.at == 1.0
    assert taken.memory_bytes > 1_000_000
    assert taken.descriptors > 0
    assert taken.threads >= 1
