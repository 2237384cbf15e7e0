"""The guard: a correction that settles is left alone, one that swings ever more is switched off."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from flwr_digest.core.guard import FIRST_RENEWALS, LEAST_SHARE, MOST_GROWTH, Guard
from flwr_digest.core.ids import ShardId

ONE, TWO = ShardId(0), ShardId(1)


def watched(corrections: Iterable[tuple[float, float]], shards: int = 1) -> Guard:
    """Return a guard that has seen, for each shard, corrections of a (size, change)."""
    guard = Guard()
    for size, change in corrections:
        for shard in range(shards):
            guard = guard.observed(ShardId(shard), size, change)
    return guard


def test_nothing_is_switched_off_at_first() -> None:
    assert not Guard().tripped


@pytest.mark.parametrize("shards", [1, 4])
def test_a_correction_that_settles_stays_on_however_large(shards: int) -> None:
    assert not watched(((1e6, 1e5 * 0.8**n) for n in range(200)), shards).tripped


@pytest.mark.parametrize("shards", [1, 4])
def test_changes_that_stay_as_they_are_trip_nothing(shards: int) -> None:
    assert not watched(((1.0, 0.5) for _ in range(500)), shards).tripped


@pytest.mark.parametrize("shards", [1, 4])
def test_a_correction_that_swings_ever_more_is_switched_off(shards: int) -> None:
    assert watched(((1.1**n, 1.1**n) for n in range(60)), shards).tripped


def test_it_takes_growth_of_the_smoothed_change_and_not_of_one() -> None:
    calm = [(10.0, 1.0)] * 50
    assert not watched([*calm, (30.0, 20.0)]).tripped
    assert not watched([*calm, *[(30.0, 3.9)] * 500]).tripped  # below four times the least
    assert watched([*calm, *[(30.0, 1.1 * MOST_GROWTH)] * 100]).tripped


def test_growth_is_over_the_least_that_the_changes_have_been() -> None:
    settled = [(10.0, 10 * 0.95**n) for n in range(60)]
    assert not watched(settled).tripped
    assert watched([*settled, *[(10.0, 5.0)] * 40]).tripped  # though it began with more


def test_a_twitch_of_a_correction_that_has_settled_is_no_swing() -> None:
    settled = [(10.0, 10 * 0.5**n) for n in range(60)]
    twitch = [(10.0, 0.9 * LEAST_SHARE * 10)] * 50
    assert watched([*settled, *twitch]) == watched(settled)


def test_visits_without_news_make_no_later_change_look_like_growth() -> None:
    contribution, nothing = (10.0, 2.0), [(10.0, 0.0)] * 20
    assert not watched([contribution, *nothing] * 40).tripped


def test_nor_does_nothing_at_all_trip() -> None:
    assert watched([(0.0, 0.0)] * 50) == Guard()


def test_corrections_may_grow_from_nothing() -> None:
    growing = [(4.0**n, 4.0**n) for n in range(FIRST_RENEWALS)]
    guard = watched(growing)
    assert guard.least is None
    assert not watched([*growing, *[(5.0, 3.0)] * 100]).tripped
    guard = guard.observed(ONE, 5.0, 3.0)
    assert guard.least == guard.smoothed


def test_so_may_that_of_a_shard_that_comes_later() -> None:
    guard = watched([(5.0, 3.0)] * 50)
    assert guard.least == 3.0
    for _ in range(FIRST_RENEWALS):
        guard = guard.observed(TWO, 900.0, 900.0)
    assert guard.least is None
    assert not guard.observed(TWO, 5.0, 4.0).tripped


def test_the_first_changes_are_in_the_smoothed_one() -> None:
    guard = watched([(10.0, 8.0), (10.0, 16.0)])
    assert guard.smoothed == pytest.approx(9.0)


def test_all_shards_are_looked_at_together() -> None:
    guard = Guard().observed(ONE, 10.0, 3.0).observed(TWO, 10.0, 4.0)
    assert guard.smoothed == pytest.approx(3 * 15 / 16 + 5 / 16)


def test_the_news_of_one_of_many_shards_counts_for_its_share() -> None:
    calm = [(10.0, 1.0)] * 200
    one, many = watched(calm), watched(calm, shards=16)
    assert one.observed(ONE, 10.0, 9.0).smoothed == pytest.approx(2.0)  # an eighth of the way
    whole = 4 + (96**0.5 - 4) / 128
    assert many.observed(ONE, 10.0, 9.0).smoothed == pytest.approx(whole, rel=1e-3)


@pytest.mark.parametrize("size", [float("nan"), float("inf")])
def test_a_correction_that_is_no_number_is_switched_off_at_once(size: float) -> None:
    assert Guard().observed(ONE, size, 0.0).tripped


def test_a_correction_that_was_switched_off_stays_off() -> None:
    guard = Guard().observed(ONE, float("nan"), 0.0)
    for _ in range(100):
        guard = guard.observed(ONE, 1.0, 0.0)
    assert guard.tripped


def test_a_guard_is_not_changed_in_place() -> None:
    before = Guard().observed(ONE, 1.0, 1.0)
    before.observed(ONE, 1.0, 0.5).observed(TWO, 1.0, 0.5)
    assert dict(before.changes) == {ONE: 1.0}
