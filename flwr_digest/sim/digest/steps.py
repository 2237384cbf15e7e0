"""When each node ends its local steps."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING

from flwr_digest.sim.rivals.clock import Clock

if TYPE_CHECKING:
    from flwr_digest.sim.problem import Problem

_AHEAD_STEPS = 256
"""Step times that are looked up at once; only speed depends on it."""


class StepTimes:
    """When a node ends each of its local steps, looked up as far as needed.

    Nodes train all the time; a step that an absence interrupts goes on after it.

    Parameters
    ----------
    problem : Problem
        Whose step times and absences count.
    """

    def __init__(self, problem: Problem) -> None:
        self._clock = Clock(problem)
        self._ends = [array("d") for _ in range(problem.nodes)]  # 8 bytes a step

    def made_by(self, node: int, at: float) -> int:
        """Return how many local steps a node has made at a time; one that ends then counts."""
        ends = self._ends[node]
        while not ends or ends[-1] <= at:
            self._look_ahead(node)
        return bisect_right(ends, at)

    def end(self, node: int, number: int) -> float:
        """Return when a node has made `number` local steps, 1 or more, in seconds."""
        ends = self._ends[node]
        while len(ends) < number:
            self._look_ahead(node)
        return ends[number - 1]

    def present_seconds(self, node: int, until: float) -> float:
        """Return how long a node was there, and so trained, until a time."""
        return self._clock.present_seconds(node, until)

    def _look_ahead(self, node: int) -> None:
        """Look up the next block."""
        ends = self._ends[node]
        start = ends[-1] if ends else 0.0
        # As bytes: taking the numbers one by one takes 20 times as long (measured).
        ends.frombytes(self._clock.finishes(node, start, len(ends), _AHEAD_STEPS).tobytes())
