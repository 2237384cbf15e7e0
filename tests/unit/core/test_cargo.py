"""Cargo: what travels adds up, part by part."""

from __future__ import annotations

import platform
import tracemalloc
from collections.abc import Callable
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from flwr_digest.core.cargo import Cargo
from tests.unit.core.builders import cargo, vector


def test_models_and_rates_are_added_and_taken_off() -> None:
    one, other = cargo(5, rate=3), cargo(2, rate=7)
    assert one + other == cargo(7, rate=10)
    assert one - other == cargo(3, rate=-4)


def test_what_is_added_can_be_taken_off_again() -> None:
    one, other = cargo(5, rate=3), cargo(2, rate=7)
    assert one + other - other == one


def test_another_is_added_so_many_times() -> None:
    assert cargo(5, rate=3).plus(cargo(2, rate=8), 0.5) == cargo(6, rate=7)


def test_how_another_has_changed_is_added() -> None:
    before, after = cargo(2, rate=8), cargo(6, rate=7)
    assert cargo(5, rate=3).with_change(before, after) == cargo(9, rate=2)


def test_without_drift_correction_there_are_no_rates() -> None:
    assert cargo(1) + cargo(2) == cargo(3)
    assert (cargo(1) - cargo(2)).rate is None
    assert cargo(1).plus(cargo(2), 0.5) == cargo(2)
    assert cargo(1).with_change(cargo(2), cargo(5)) == cargo(4)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="NumPy can tell only there")
@pytest.mark.parametrize(
    "add", [lambda a, b, c: a.plus(b, 0.5), lambda a, b, c: a.with_change(b, c)]
)
def test_a_sum_needs_no_memory_beside_its_own(add: Callable[[Cargo, Cargo, Cargo], Cargo]) -> None:
    size = 1 << 20
    parts = [Cargo(model=np.full(size, n, dtype=np.float32)) for n in (1, 2, 3)]
    tracemalloc.start()
    try:
        total = add(parts[0], parts[1], parts[2])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total.model.nbytes <= peak < 1.1 * total.model.nbytes


def test_a_sum_leaves_its_parts_as_they_were() -> None:
    one, other = cargo(5, rate=3), cargo(2, rate=7)
    _ = one + other, one - other, one.plus(other, 0.5), one.with_change(other, one)
    assert (one, other) == (cargo(5, rate=3), cargo(2, rate=7))
    with pytest.raises(FrozenInstanceError):
        one.rate = None  # type: ignore[misc]


def test_an_empty_cargo_adds_nothing_and_has_the_same_shape() -> None:
    empty = Cargo(model=vector(1, 2), rate=vector(3, 4)).empty()
    assert empty.rate is not None
    assert (empty.model.tolist(), empty.rate.tolist()) == ([0, 0], [0, 0])
    assert cargo(1).empty().rate is None
