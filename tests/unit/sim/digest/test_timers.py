"""Timers fire when they are due, as if each setting were noted and the old one struck out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.core.events import Timer, TimerKind
from flwr_digest.core.ids import StreamId
from flwr_digest.sim.digest.agenda import Agenda
from flwr_digest.sim.digest.timers import Timers

LOST = Timer(kind=TimerKind.LOST, stream_id=StreamId(0))
RECEIPT = Timer(kind=TimerKind.RECEIPT, stream_id=StreamId(0))


class Watch:
    """Timers, and what has fired."""

    def __init__(self) -> None:
        self.agenda = Agenda()
        self.fired: list[tuple[Timer, float]] = []
        self.timers = Timers(self.agenda, lambda timer, now: self.fired.append((timer, now)))


def test_each_timer_fires_once_when_it_is_due() -> None:
    watch = Watch()
    watch.timers.set(LOST, 3.0)
    watch.timers.set(RECEIPT, 2.0)
    watch.agenda.run_until(10.0)
    assert watch.fired == [(RECEIPT, 2.0), (LOST, 3.0)]


def test_setting_a_timer_again_replaces_it() -> None:
    watch = Watch()
    for at in (5.0, 3.0, 4.0):
        watch.timers.set(LOST, at)
    watch.agenda.run_until(10.0)
    assert watch.fired == [(LOST, 4.0)]


def test_a_timer_that_was_cancelled_does_not_fire_and_can_be_set_again() -> None:
    watch = Watch()
    watch.timers.set(LOST, 3.0)
    watch.timers.cancel(LOST)
    watch.timers.cancel(RECEIPT)
    watch.agenda.run_until(4.0)
    assert watch.fired == []
    watch.timers.set(LOST, 6.0)
    watch.agenda.run_until(10.0)
    assert watch.fired == [(LOST, 6.0)]


def test_clearing_forgets_all() -> None:
    watch = Watch()
    watch.timers.set(LOST, 3.0)
    watch.timers.set(RECEIPT, 4.0)
    watch.timers.clear()
    watch.agenda.run_until(10.0)
    assert watch.fired == []


@given(st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), st.integers(0, 9)))))
def test_any_history_of_settings_fires_as_the_latest_says(
    history: list[tuple[int, int | None]],
) -> None:
    watch = Watch()
    due: float | None = None
    expected: list[tuple[Timer, float]] = []
    for pause, wait in history:
        now = watch.agenda.now + pause
        if due is not None and due <= now:
            expected.append((LOST, due))
            due = None
        watch.agenda.run_until(now)
        if wait is None:
            due = None
            watch.timers.cancel(LOST)
        else:
            due = now + wait
            watch.timers.set(LOST, due)
    watch.agenda.run_until(watch.agenda.now + 100)
    assert watch.fired == expected + ([] if due is None else [(LOST, due)])
