"""Cargo: what travels adds up, part by part."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

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


def test_without_drift_correction_there_are_no_rates() -> None:
    assert cargo(1) + cargo(2) == cargo(3)
    assert (cargo(1) - cargo(2)).rate is None


def test_a_sum_leaves_its_parts_as_they_were() -> None:
    one, other = cargo(5, rate=3), cargo(2, rate=7)
    _ = one + other, one - other
    assert (one, other) == (cargo(5, rate=3), cargo(2, rate=7))
    with pytest.raises(FrozenInstanceError):
        one.rate = None  # type: ignore[misc]


def test_an_empty_cargo_adds_nothing_and_has_the_same_shape() -> None:
    empty = Cargo(model=vector(1, 2), rate=vector(3, 4)).empty()
    assert empty.rate is not None
    assert (empty.model.tolist(), empty.rate.tolist()) == ([0, 0], [0, 0])
    assert cargo(1).empty().rate is None
