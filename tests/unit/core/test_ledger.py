"""The ledger: what waits to be given, and how the node's own gradient rate is measured."""

from __future__ import annotations

from flwr_digest.core.ledger import Ledger
from tests.unit.core.builders import cargo, vector

WINDOW = 10  # local steps


def handed_in(*entries: tuple[int, float, float], ledger: Ledger | None = None) -> Ledger:
    """Return a ledger after some (steps, displacement, sum of gradients)."""
    made = Ledger() if ledger is None else ledger
    for steps, displacement, gradients in entries:
        made = made.handed_in(steps, vector(displacement), vector(gradients))
    return made


def test_steps_wait_until_they_are_given() -> None:
    ledger = Ledger().handed_in(2, vector(3), None).handed_in(1, vector(4), None)
    assert (ledger.pending, ledger.pending_steps, ledger.steps) == (vector(7), 3, 3)
    assert ledger.gradients is None


def test_the_accounts_gain_the_displacement() -> None:
    ledger, gained = Ledger().handed_in(2, vector(3), None).banked(WINDOW, now=4.0)
    assert gained == cargo(3)
    assert gained is not None
    assert gained.model.dtype == "float32"
    assert (ledger.pending, ledger.pending_steps, ledger.banked_at) == (None, 0, 4.0)
    assert ledger.steps == 2  # of the session


def test_nothing_pending_is_nothing_gained() -> None:
    ledger, gained = Ledger().banked(WINDOW, now=4.0)
    assert gained is None
    assert ledger.steps == 0


def test_what_was_given_is_not_given_again() -> None:
    ledger, _ = Ledger().handed_in(2, vector(3), None).banked(WINDOW, now=4.0)
    ledger, gained = ledger.handed_in(1, vector(1), None).banked(WINDOW, now=5.0)
    assert gained == cargo(1)


def test_a_ledger_is_not_changed_in_place() -> None:
    before = handed_in((2, 3, 4))
    before.handed_in(1, vector(1), vector(1))
    before.banked(1, now=1.0)
    assert (before.pending, before.gradients, before.rate) == (vector(3), vector(4), None)


# --- gradient rates ------------------------------------------------------------------------------


def test_the_rate_is_the_mean_gradient_of_the_steps_since_it_was_last_measured() -> None:
    ledger, gained = handed_in((4, 0, 8), (6, 0, 12)).banked(WINDOW, now=1.0)
    assert ledger.rate == vector(2)
    assert gained == cargo(0, rate=2)
    assert (ledger.gradients, ledger.window_steps) == (None, 0)


def test_too_few_steps_make_no_rate_yet() -> None:
    ledger, gained = handed_in((9, 3, 27)).banked(WINDOW, now=1.0)
    assert gained == cargo(3, rate=0)
    assert (ledger.rate, ledger.window_steps) == (None, 9)
    ledger, gained = handed_in((1, 1, 3), ledger=ledger).banked(WINDOW, now=2.0)
    assert ledger.rate == vector(3)  # of all ten steps
    assert gained == cargo(1, rate=3)


def test_a_later_rate_replaces_the_one_before() -> None:
    ledger, first = handed_in((10, 0, 20)).banked(WINDOW, now=1.0)
    ledger, second = handed_in((20, 0, 100), ledger=ledger).banked(WINDOW, now=2.0)
    assert ledger.rate == vector(5)
    assert first is not None
    assert second is not None
    assert (first + second).rate == vector(5)  # and not 7


def test_all_that_was_given_of_rates_is_the_latest() -> None:
    ledger, given = Ledger(), 0.0
    for now in range(5):
        ledger, gained = handed_in((10, 1, 10.0 * now), ledger=ledger).banked(WINDOW, now)
        assert gained is not None
        assert gained.rate is not None
        given += gained.rate.item()
        assert given == now


def test_who_has_given_a_rate_before_gives_the_difference() -> None:
    ledger, gained = handed_in((10, 0, 30), ledger=Ledger(rate=vector(1))).banked(WINDOW, 1)
    assert gained == cargo(0, rate=2)  # 3 - 1
    assert ledger.rate == vector(3)


def test_without_gradients_no_rates_are_given() -> None:
    _, gained = Ledger().handed_in(50, vector(1), None).banked(WINDOW, now=1.0)
    assert gained == cargo(1)
    assert gained is not None
    assert gained.rate is None
