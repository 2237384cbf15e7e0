"""All nodes' models as one matrix, and what local steps and the protocol do to its rows."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from flwr_digest.core.guard import Guard
from flwr_digest.core.ids import ShardId
from flwr_digest.learning.arrays import Floats, Integers
from flwr_digest.sim.digest.program import GoOnFrom, Take
from flwr_digest.sim.digest.steps import StepTimes
from flwr_digest.sim.rivals.training import LearningRate

if TYPE_CHECKING:
    from flwr_digest.sim.problem import Problem


_MOST_NUMBERS = 2**17
"""In the models that step at a time: 512 KB, so that they, their minibatches and their gradients
stay in a processor's cache. Measured at 1,000 nodes: a fifth faster than all at a time."""


class Models:
    """What the nodes train. A local step is plain SGD with the node's correction, if it has one.

    Parameters
    ----------
    problem : Problem
        What is learned.
    rate : LearningRate
        The learning rate; a step's is that of the time at which it ends.
    times : StepTimes
        When that is.
    slices : tuple of slice
        The shards.
    drift_correction : bool
        Whether sums of gradients are handed out, and corrections come back.

    Attributes
    ----------
    rows : numpy.ndarray
        Shape ``[N, d]``, float32: the models.
    made : numpy.ndarray
        Shape ``[N]``, int64: how many local steps of the run each node has made.
    guards : list of Guard
        Each node's, which sees every correction that the node takes in.
    """

    def __init__(
        self,
        problem: Problem,
        rate: LearningRate,
        times: StepTimes,
        slices: tuple[slice, ...],
        *,
        drift_correction: bool,
    ) -> None:
        self._initial = problem.initial
        self._task = problem.task
        self._batches = problem.batches()
        self._rate, self._times = rate, times
        self._constant_rate = None if problem.scenario.decay else np.float32(rate.at(0.0))
        self._slices = slices
        self._drift_correction = drift_correction
        self.rows: Floats = np.tile(problem.initial, (problem.nodes, 1))
        self.made = np.zeros(problem.nodes, dtype=np.int64)
        self.guards = [Guard() for _ in range(problem.nodes)]
        self._bases = self.rows.copy()  # what the accounts know of: all before the last take
        # The sums of the gradients since the last take; no columns where nobody asks for them.
        self._sums = np.zeros_like(self.rows[:, : problem.task.size * drift_correction])
        self._corrections = np.zeros_like(self._sums)
        self._corrected = False  # whether there is any correction yet

    def step(self, nodes: Integers, steps: Integers) -> None:
        """Let different nodes, in ascending order, make local steps, 1 or more each."""
        order = np.argsort(-steps, kind="stable")
        most = max(1, _MOST_NUMBERS // self.rows.shape[1])
        for first in range(0, len(nodes), most):
            some = order[first : first + most]
            self._step_some(nodes[some], steps[some])

    def _step_some(self, nodes: Integers, steps: Integers) -> None:
        """Let nodes make their steps; those with most come first, so who goes on is a slice."""
        side_by_side = steps[0] == steps[-1] and nodes[-1] - nodes[0] < len(nodes)
        models, sums, corrections = (
            # Neighbors in the matrix need not be copied.
            each[nodes[0] : nodes[-1] + 1] if side_by_side else each.take(nodes, axis=0)
            for each in (self.rows, self._sums, self._corrections)
        )
        for number, going in enumerate(_how_many_go_on(steps)):
            who, model = nodes[:going], models[:going]
            gradients = self._task.gradients(model, *self._batches.next(who))
            if self._drift_correction:
                sums[:going] += gradients
            if self._corrected:
                gradients += corrections[:going]
            gradients *= self._rates(who, number)
            model -= gradients
        self.made[nodes] += steps
        if not side_by_side:
            self.rows[nodes] = models
            self._sums[nodes] = sums

    def take(self, node: int, item: Take) -> None:
        """Hand out what the steps since a shard's last take did."""
        part = self._slices[item.shard]
        model = self.rows[node, part]
        displacement = model - self._bases[node, part]
        self._bases[node, part] = model
        if item.gradients is not None:
            gradients = self._sums[node, part].copy()
            self._sums[node, part] = 0
            item.gradients.become(gradients)
        item.displacement.become(displacement)

    def go_on_from(self, node: int, item: GoOnFrom) -> None:
        """Rebase a shard; what was done since its last take stays on top."""
        part, base = self._slices[item.shard], item.model.known()
        model = base
        if item.on_top:
            model = base + (self.rows[node, part] - self._bases[node, part])
        self.rows[node, part] = model
        self._bases[node, part] = base
        if item.correction is not None:
            self._correct(node, item.shard, item.correction.known())

    def forget(self, node: int) -> None:
        """Begin again with the initial model, and nothing else."""
        self.rows[node] = self._bases[node] = self._initial
        self._sums[node] = self._corrections[node] = 0
        self.guards[node] = Guard()

    def _correct(self, node: int, shard: ShardId, correction: Floats) -> None:
        """Take in a shard's correction, unless the guard has switched the node's off."""
        if self.guards[node].tripped:
            return
        mine, part = self._corrections[node], self._slices[shard]
        change = _norm(correction - mine[part])
        self.guards[node] = self.guards[node].observed(shard, _norm(correction), change)
        mine[part] = correction
        self._corrected = True
        if self.guards[node].tripped:
            mine[:] = 0

    def _rates(self, nodes: Integers, later: int) -> Floats | np.float32:
        """Return the learning rates of the nodes' next step, or one so many later."""
        if self._constant_rate is not None:
            return self._constant_rate
        numbers = self.made[nodes] + (1 + later)
        ends = map(self._times.end, nodes.tolist(), numbers.tolist())
        rates = np.array([self._rate.at(end) for end in ends], dtype=np.float32)
        return rates[:, np.newaxis]


def _how_many_go_on(steps: Integers) -> list[int]:
    """Return for each step how many nodes make it, given how many each makes, most first."""
    going: list[int] = np.searchsorted(-steps, -np.arange(steps[0])).tolist()
    return going


def _norm(vector: Floats) -> float:
    """Return the Euclidean norm; `numpy.linalg.norm` takes several times as long for a shard."""
    return sqrt(np.dot(vector, vector))
