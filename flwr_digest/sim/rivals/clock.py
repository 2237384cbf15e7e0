"""When local steps end, given that nodes away or frozen do not train, and slow ones take longer."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from flwr_digest.learning.arrays import Doubles
from flwr_digest.sim.faults import Absence, Freeze

if TYPE_CHECKING:
    from flwr_digest.sim.problem import Problem
    from flwr_digest.sim.scenario import Scenario

Span = tuple[float, float]


class Clock:
    """The nodes' step times, absences, freezes and slowdowns on one time line.

    A step that is interrupted goes on after that where it was.

    Parameters
    ----------
    problem : Problem
        Whose step times and faults count.
    """

    def __init__(self, problem: Problem) -> None:
        self._compute = problem.compute()
        away = _spans_away(problem.scenario)
        self._away = {node: _Away(spans) for node, spans in away.items()}
        self._progress: dict[int, _Progress] = dict(self._away)
        for node in {slowdown.node for slowdown in problem.scenario.slowdowns}:
            self._progress[node] = _Uneven(problem.scenario, node, away.get(node, []))

    def finishes(self, node: int, start: float, first: int, count: int) -> Doubles:
        """Return when local steps `first` to `first + count - 1` of a node end.

        Parameters
        ----------
        node : int
            Which node.
        start : float
            When it begins with the first of them, in seconds; it makes no pause in between.
        first : int
            The number of the first step, from 0.
        count : int
            How many steps, 1 or more.

        Returns
        -------
        numpy.ndarray
            Shape ``[count]``, float64, seconds, ascending.
        """
        spent = self._compute.durations(node, first, count).cumsum()
        progress = self._progress.get(node)
        if progress is None:
            return start + spent
        return progress.time_at(progress.present_by(start) + spent)

    def present_seconds(self, node: int, until: float) -> float:
        """Return how long a node was there, and not frozen, from the start of the run to a time."""
        away = self._away.get(node)
        return until if away is None else away.present_by(until)


def _spans_away(scenario: Scenario) -> dict[int, list[Span]]:
    """Return when each node that is away or frozen at some time is so, in order."""
    spans: dict[int, list[Span]] = {}
    faults: tuple[Absence | Freeze, ...] = (*scenario.absences, *scenario.freezes)
    for fault in faults:
        spans.setdefault(fault.node, []).append((fault.start_seconds, fault.end_seconds))
    return {node: sorted(each) for node, each in spans.items()}


class _Progress(Protocol):
    """How far a node comes with its steps, in seconds of one that nothing ever befalls."""

    def present_by(self, time: float) -> float:
        """Return how far it has come by a time."""
        ...

    def time_at(self, present: Doubles) -> Doubles:
        """Return when it has come so far: the inverse."""
        ...


class _Away:
    """One node's absences and freezes, in order and apart from each other."""

    def __init__(self, spans: list[Span]) -> None:
        self._starts, ends = np.array(spans).T
        self._lengths = ends - self._starts
        self._before = np.concatenate([[0.0], np.cumsum(self._lengths)])

    def present_by(self, time: float) -> float:
        """Return how long the node was there until a time."""
        return float(time - np.clip(time - self._starts, 0.0, self._lengths).sum())

    def time_at(self, present: Doubles) -> Doubles:
        """Return when the node has been there for so long: the inverse of `present_by`."""
        passed = np.searchsorted(self._starts - self._before[:-1], present, side="left")
        times: Doubles = present + self._before[passed]
        return times


class _Uneven:
    """One node that is slow at times, and may be away or frozen at others."""

    def __init__(self, scenario: Scenario, node: int, away: list[Span]) -> None:
        slow = [s for s in scenario.slowdowns if s.node == node]
        spans = [*away, *((s.start_seconds, s.end_seconds) for s in slow)]
        times = sorted({0.0, *(time for span in spans for time in span)})
        self._times = np.array(times)
        self._speeds = np.ones(len(times))  # from each of these times on
        for number, time in enumerate(times):
            for each in slow:
                if each.start_seconds <= time < each.end_seconds:
                    self._speeds[number] = 1 / each.factor
            if any(start <= time < end for start, end in away):
                self._speeds[number] = 0.0
        lengths = [later - time for time, later in pairwise(times)]
        self._come = np.concatenate([[0.0], np.cumsum(self._speeds[:-1] * lengths)])

    def present_by(self, time: float) -> float:
        """Return how far the node has come by a time, in seconds at its usual speed."""
        last = int(np.searchsorted(self._times, time, side="right")) - 1
        return float(self._come[last] + (time - self._times[last]) * self._speeds[last])

    def time_at(self, present: Doubles) -> Doubles:
        """Return when the node has come so far: the inverse of `present_by`."""
        last = np.maximum(np.searchsorted(self._come, present, side="left") - 1, 0)
        times: Doubles = self._times[last] + (present - self._come[last]) / self._speeds[last]
        return times
