"""The timers of one stream: only those that are set are canceled."""

from __future__ import annotations

from flwr_digest.core.effects import CancelTimer, SetTimer
from flwr_digest.core.events import Timer, TimerKind
from flwr_digest.core.timers import Timers
from tests.unit.core.builders import STREAM


def timer(kind: TimerKind) -> Timer:
    return Timer(kind=kind, stream_id=STREAM)


def test_a_timer_is_set_for_its_stream() -> None:
    found = Timers(stream_id=STREAM).set(TimerKind.LOST, 3.0)
    assert found == SetTimer(timer=timer(TimerKind.LOST), at=3.0)


def test_all_that_are_set_are_canceled_once() -> None:
    timers = Timers(stream_id=STREAM)
    for kind in (TimerKind.RECEIPT, TimerKind.LOST, TimerKind.LOST):
        timers.set(kind, 1.0)
    kinds = (TimerKind.LOST, TimerKind.RECEIPT)  # in an order that is always the same
    assert timers.cancel_all() == [CancelTimer(timer=timer(kind)) for kind in kinds]
    assert timers.cancel_all() == []


def test_what_has_fired_is_not_canceled() -> None:
    timers = Timers(stream_id=STREAM)
    timers.set(TimerKind.LOST, 1.0)
    timers.fired(TimerKind.LOST)
    assert timers.cancel_all() == []
