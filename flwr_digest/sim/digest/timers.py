"""A node's timers on the agenda."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from flwr_digest.core.events import Timer
from flwr_digest.sim.digest.agenda import Agenda


class Timers:
    """The timers of one node.

    Most timers are set and then cancelled or set to a later time. So a timer has one event on the
    agenda, which looks when it comes up whether the timer is due by now: setting it to a later
    time, and cancelling it, leaves the agenda alone.

    Parameters
    ----------
    agenda : Agenda
        Where events are noted.
    fire : callable
        Told of each timer that has come due, and when.
    """

    def __init__(self, agenda: Agenda, fire: Callable[[Timer, float], None]) -> None:
        self._agenda = agenda
        self._fire = fire
        self._due: dict[Timer, float] = {}
        self._looked_at: dict[Timer, float] = {}  # when the timer's event comes up

    def set(self, timer: Timer, at: float) -> None:
        """Set a timer, anew if it is set."""
        self._due[timer] = at
        if at < self._looked_at.get(timer, float("inf")):
            self._note(timer, at)

    def cancel(self, timer: Timer) -> None:
        """Forget a timer, if it is set."""
        self._due.pop(timer, None)

    def clear(self) -> None:
        """Forget all timers."""
        self._due.clear()

    def _note(self, timer: Timer, at: float) -> None:
        self._looked_at[timer] = at
        self._agenda.at(at, partial(self._look, timer))

    def _look(self, timer: Timer, now: float) -> None:
        if self._looked_at.get(timer) != now:
            return  # another event came up earlier in its place
        del self._looked_at[timer]
        due = self._due.get(timer)
        if due is None:
            return
        if due > now:
            self._note(timer, due)
            return
        del self._due[timer]
        self._fire(timer, now)
