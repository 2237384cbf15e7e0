"""The numbers of a run: all that the schedule has found to be done, many nodes at a time.

Each node has a program: local steps, and in between what is to be done for the protocol. All nodes
that can step do so in one batch, until each comes to the end of its program or needs a model that
is not known yet. By causality the node that is furthest behind never waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from flwr_digest.errors import LocalProtocolError
from flwr_digest.learning.arrays import Integers
from flwr_digest.sim.digest.later import Later, Waiter
from flwr_digest.sim.digest.models import Models
from flwr_digest.sim.digest.program import Forget, GoOnFrom, Item, Take

Switches = npt.NDArray[np.bool_]
"""Shape ``[n]``: for each of n nodes a yes or no."""


class _Blocked(Waiter):
    """A node that waits for a model."""

    __slots__ = ("_freed", "_node")

    def __init__(self, node: int, freed: list[int]) -> None:
        self.missing = 0
        self._node, self._freed = node, freed

    def all_known(self) -> Later | None:
        self._freed.append(self._node)
        return None


class Replay:
    """All nodes' programs.

    Parameters
    ----------
    models : Models
        What they change.
    """

    def __init__(self, models: Models) -> None:
        nodes = len(models.rows)
        self._models = models
        self._programs: list[deque[Item]] = [deque() for _ in range(nodes)]
        self._ends: Sequence[int] = [0] * nodes
        self._few = 1 + nodes // 2  # fewer than that are few
        self._goals = np.zeros(nodes, dtype=np.int64)  # how far each can go
        self._noted = np.zeros(nodes, dtype=np.bool_)  # whether an item is what it goes to
        self._freed: list[int] = []
        self._blocked = [_Blocked(node, self._freed) for node in range(nodes)]

    def note(self, node: int, item: Item) -> None:
        """Add to a node's program; items are in the order of their steps."""
        self._programs[node].append(item)

    def run(self, made: Sequence[int], *, to_the_end: bool) -> None:
        """Do all that was noted, and local steps up to the `made`-th of each node.

        Parameters
        ----------
        made : sequence of int
            For each node how many local steps it has made by the end.
        to_the_end : bool
            Whether it matters that each node gets there. If not, steps that only a few have yet to
            make are left to the next run, where the others step along: small batches cost most
            (measured: 100 nodes make 3 % more steps a second).

        Raises
        ------
        LocalProtocolError
            Something noted can never be done.
        """
        self._ends = made
        for node in range(len(self._programs)):
            self._go_on(node)
        self._go_on_with_freed()
        while len(nodes := np.flatnonzero(self._models.made < self._goals)):
            steps = (self._goals - self._models.made)[nodes]
            until = self._steps_together(steps, self._noted[nodes], to_the_end=to_the_end)
            if not until:
                return
            self._models.step(nodes, np.minimum(steps, until))
            arrived = nodes[self._models.made[nodes] == self._goals[nodes]]
            for node in arrived.tolist():
                self._go_on(node)
            self._go_on_with_freed()
        if any(self._programs):
            raise LocalProtocolError("a node waits for a model that nobody computes")

    def _steps_together(self, steps: Integers, noted: Switches, *, to_the_end: bool) -> int:
        """Return how many steps nodes make before something else is done; 0: enough for this run.

        `steps` is how many each has to make, `noted` whether there is an item to carry out then,
        which is not put off: it may be what others wait for.
        """
        if noted.any():
            return int(steps[noted].min())
        if to_the_end:
            return int(steps.max())
        return int(np.sort(steps)[-self._few]) if len(steps) >= self._few else 0

    def _go_on_with_freed(self) -> None:
        while self._freed:
            self._go_on(self._freed.pop())

    def _go_on(self, node: int) -> None:
        """Carry out a node's program up to its next local step, or a model that is not known."""
        program, made = self._programs[node], int(self._models.made[node])
        while program:
            item = program[0]
            if item.made > made:
                self._goals[node] = item.made
                self._noted[node] = True
                return
            if isinstance(item, GoOnFrom) and self._has_to_wait(node, item):
                return
            program.popleft()
            self._carry_out(node, item)
        self._goals[node] = self._ends[node]
        self._noted[node] = False

    def _has_to_wait(self, node: int, item: GoOnFrom) -> bool:
        """Whether the model is not known yet; if so, the node is freed when it is."""
        blocked = self._blocked[node]
        item.model.tell(blocked)
        if item.correction is not None:
            item.correction.tell(blocked)
        return blocked.missing > 0

    def _carry_out(self, node: int, item: Item) -> None:
        match item:
            case Take():
                self._models.take(node, item)
            case GoOnFrom():
                self._models.go_on_from(node, item)
            case Forget():
                self._models.forget(node)
