"""Makes a schedule that fails smaller: what is left is what it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.chaos.faults import Fault, Kill, Restart, Schedule


def shrunk(schedule: Schedule, fails: Callable[[Schedule], bool]) -> Schedule:
    """Return a schedule that still fails, and does no longer without any one of its faults.

    Parameters
    ----------
    schedule : Schedule
        Fails.
    fails : callable
        Whether a schedule does.
    """
    found = True
    while found:
        found = False
        for smaller in _without_one(schedule):
            if fails(smaller):
                schedule, found = smaller, True
                break
    return schedule


def _without_one(schedule: Schedule) -> Iterator[Schedule]:
    """Yield the schedule without each fault; a kill goes with its restart."""
    for number, fault in enumerate(schedule):
        gone: list[Fault] = [fault]
        if isinstance(fault, Restart):
            continue
        if isinstance(fault, Kill):
            later = (
                f for f in schedule[number:] if isinstance(f, Restart) and f.node == fault.node
            )
            gone += list(later)[:1]
        yield tuple(each for each in schedule if each not in gone)
