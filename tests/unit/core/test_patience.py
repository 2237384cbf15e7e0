"""Waiting times follow what was seen."""

from __future__ import annotations

import pytest

from flwr_digest.core.patience import (
    LEAST_SECONDS,
    MOST_BACKOFF,
    Grace,
    Patience,
    first_delays,
)
from tests.unit.core.builders import config


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
    assert delays.lost_after_seconds == 3 * delays.tour.wait_seconds


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
