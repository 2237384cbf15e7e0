"""The agenda keeps the order of time, and among equal times that of noting."""

from __future__ import annotations

import pytest

from flwr_digest.errors import LocalProtocolError
from flwr_digest.sim.digest.agenda import Agenda


def test_events_happen_in_the_order_of_time_then_of_noting() -> None:
    agenda, seen = Agenda(), list[tuple[str, float]]()
    for name, time in (("c", 2.0), ("a", 1.0), ("d", 2.0), ("b", 1.5)):
        agenda.at(time, lambda now, name=name: seen.append((name, now)))  # type: ignore[misc]
    agenda.run_until(3.0)
    assert seen == [("a", 1.0), ("b", 1.5), ("c", 2.0), ("d", 2.0)]


def test_an_event_at_the_end_happens_and_a_later_one_waits() -> None:
    agenda, seen = Agenda(), list[float]()
    agenda.at(1.0, seen.append)
    agenda.at(1.1, seen.append)
    agenda.run_until(1.0)
    assert (seen, agenda.now) == ([1.0], 1.0)
    agenda.run_until(2.0)
    assert (seen, agenda.now) == ([1.0, 1.1], 2.0)


def test_an_event_may_note_another_for_the_same_time() -> None:
    agenda, seen = Agenda(), list[float]()
    agenda.at(1.0, lambda now: agenda.at(now, seen.append))
    agenda.run_until(1.0)
    assert seen == [1.0]


def test_nothing_can_be_noted_for_a_time_that_is_over() -> None:
    agenda = Agenda()
    agenda.run_until(2.0)
    with pytest.raises(LocalProtocolError, match="is noted at 2"):
        agenda.at(1.9, print)
