"""Waiting times follow what was seen."""

from __future__ import annotations

import pytest

from flwr_digest.core.patience import (
    LEAST_SECONDS,
    MOST_BACKOFF,
    MOST_GROWTH,
    Grace,
    LastChance,
    Patience,
    first_delays,
)
from tests.unit.core.builders import B, C, config


def after(*seconds: float) -> Patience:
    patience = Patience(first_seconds=3.0)
    for value in seconds:
        patience = patience.observed(value)
    return patience


def test_before_anything_was_seen_the_first_wait_is_the_configured_one() -> None:
    assert Patience(first_seconds=3.0).wait_seconds == 3.0


def test_the_first_observation_is_trusted_with_a_wide_margin() -> None:
    assert after(2.0).wait_seconds == pytest.approx(6.0)  # RFC 6298: R + 4 * R/2


def test_it_follows_the_observations_as_tcp_does() -> None:
    patience = after(2.0, 4.0)
    assert patience.smoothed_seconds == pytest.approx(2.25)
    assert patience.deviation_seconds == pytest.approx(0.75 * 1.0 + 0.25 * 2.0)


def test_a_regular_past_leaves_half_of_it_as_margin() -> None:
    assert after(*[10.0] * 60).wait_seconds == pytest.approx(15.0)


def test_an_irregular_past_makes_the_wait_longer_than_any_observation() -> None:
    assert after(*[1.0, 9.0] * 30).wait_seconds > 9.0


def test_a_very_fast_past_does_not_make_the_wait_vanish() -> None:
    assert after(*[0.0] * 60).wait_seconds == LEAST_SECONDS


def test_each_wait_in_vain_doubles_the_next() -> None:
    patience = after(2.0)
    assert patience.in_vain().in_vain().wait_seconds == 4 * patience.wait_seconds


def test_the_doubling_ends() -> None:
    patience = Patience(first_seconds=3.0)
    for _ in range(20):
        patience = patience.in_vain()
    assert patience.wait_seconds == 3.0 * MOST_BACKOFF


def test_an_observation_ends_the_backoff() -> None:
    assert after(2.0).in_vain().observed(2.0).backoff == 1


# --- how long a stream may stay away -------------------------------------------------------------


def test_before_a_tour_was_measured_the_first_wait_is_the_whole_wait() -> None:
    assert first_delays(config(first_lost_seconds=7.0)).lost_after_seconds == 7.0


def test_a_stream_is_lost_after_several_of_its_tours() -> None:
    delays = first_delays(config(lost_tours=3.0))
    delays.tour = delays.tour.observed(2.0)
    for _ in range(50):  # regular tours: what they take is known well
        delays.tour = delays.tour.observed(2.0)
    assert delays.lost_after_seconds == 3 * 2.0
    delays.tour = delays.tour.in_vain()
    assert delays.lost_after_seconds == 2 * 3 * 2.0


def test_a_stream_whose_tours_vary_may_stay_away_as_long_as_they_explain() -> None:
    delays = first_delays(config(lost_tours=1.0))
    for seconds in (1.0, 9.0, 1.0, 9.0):
        delays.tour = delays.tour.observed(seconds)
    assert delays.lost_after_seconds == delays.tour.wait_seconds
    assert delays.lost_after_seconds > 9.0


# --- a wait that is granted once -----------------------------------------------------------------


def test_asking_again_makes_no_wait_longer() -> None:
    grace = Grace()
    assert [grace.begun(now, 5.0) for now in (1.0, 3.0, 6.0, 7.0)] == [6.0, 6.0, None, None]


def test_a_wait_can_end_early() -> None:
    grace = Grace()
    grace.begun(1.0, 5.0)
    grace.end(2.0)
    assert grace.begun(2.0, 5.0) is None


def test_a_wait_can_be_granted_anew() -> None:
    grace = Grace()
    grace.begun(1.0, 5.0)
    grace.renew()
    assert grace.begun(9.0, 5.0) == 14.0


def test_with_another_the_wait_is_as_long_as_usual_once_anything_is_known() -> None:
    assert after(1.0).in_vain().anew().wait_seconds == after(1.0).wait_seconds
    assert after().in_vain().anew().wait_seconds == 12.0  # perhaps it is too short for all


def test_what_came_too_late_makes_the_wait_longer_but_not_at_once_by_any_factor() -> None:
    assert after(1.0).too_short(4.0) == after(1.0, 4.0)
    assert after(1.0).in_vain().too_short(1e6) == after(1.0, MOST_GROWTH * 3.0)


def test_a_last_chance_is_granted_once_for_the_same_nodes() -> None:
    chance, others = LastChance(), frozenset({B, C})
    assert chance.until(others, 1.0, 5.0) == 6.0
    assert chance.until(others, 4.0, 9.0) == 6.0
    assert chance.until(others, 6.0, 9.0) is None
    assert chance.until(frozenset({C}), 7.0, 5.0) == 12.0
    chance.renew()
    assert chance.until(frozenset({C}), 20.0, 5.0) == 25.0
