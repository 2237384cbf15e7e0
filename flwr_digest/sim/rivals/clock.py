"""When local steps end, given that a node that is away does not train."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flwr_digest.learning.arrays import Doubles

if TYPE_CHECKING:
    from flwr_digest.sim.problem import Problem


class Clock:
    """The nodes' step times and absences on one time line.

    A step that is interrupted by an absence goes on after it where it was.

    Parameters
    ----------
    problem : Problem
        Whose step times and absences count.
    """

    def __init__(self, problem: Problem) -> None:
        self._compute = problem.compute()
        self._away: dict[int, _Away] = {}
        for node in {absence.node for absence in problem.scenario.absences}:
            spans = [a for a in problem.scenario.absences if a.node == node]
            self._away[node] = _Away(sorted((a.start_seconds, a.end_seconds) for a in spans))

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
        away = self._away.get(node)
        return start + spent if away is None else away.time_at(away.present_by(start) + spent)

    def present_seconds(self, node: int, until: float) -> float:
        """Return how long a node was there, from the start of the run until a time."""
        away = self._away.get(node)
        return until if away is None else away.present_by(until)


class _Away:
    """One node's absences, in order and apart from each other."""

    def __init__(self, spans: list[tuple[float, float]]) -> None:
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
