"""The numbers of a run: all that the schedule has found to be done, many nodes at a time.

Each node has a program: local steps, and in between what is to be done for the protocol. All nodes
that can step do so in one batch, until each comes to the end of its program or needs a model that
is not known yet. By causality the node that is furthest behind never waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from flwr_digest.errors import LocalProtocolError
from flwr_digest.sim.digest.later import Later, Waiter
from flwr_digest.sim.digest.models import Models
from flwr_digest.sim.digest.program import Forget, GoOnFrom, Item, Take


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
        self._goals = np.zeros(nodes, dtype=np.int64)  # how far each can go
        self._freed: list[int] = []
        self._blocked = [_Blocked(node, self._freed) for node in range(nodes)]

    def note(self, node: int, item: Item) -> None:
        """Add to a node's program; items are in the order of their steps."""
        self._programs[node].append(item)

    def run(self, made: Sequence[int]) -> None:
        """Do all that was noted, and all local steps up to the `made`-th of each node.

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
            self._models.step(nodes, int((self._goals - self._models.made)[nodes].min()))
            arrived = nodes[self._models.made[nodes] == self._goals[nodes]]
            for node in arrived.tolist():
                self._go_on(node)
            self._go_on_with_freed()
        if any(self._programs):
            raise LocalProtocolError("a node waits for a model that nobody computes")

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
                return
            if isinstance(item, GoOnFrom) and self._has_to_wait(node, item):
                return
            program.popleft()
            self._carry_out(node, item)
        self._goals[node] = self._ends[node]

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
