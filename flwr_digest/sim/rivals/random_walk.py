"""Random-walk SGD: one model goes from node to node, and only the node that holds it learns.

Ayache and El Rouayheb, "Private Weighted Random Walk Stochastic Gradient Descent", 2020, arXiv
2009.01790, after Johansson, Rabi and Johansson, "A Randomized Incremental Subgradient Method for
Distributed Optimization in Networked Systems", 2009. The walk is Metropolis-Hastings, so that it
is at each node as often as the node's weight says; a neighbor whose link is down is refused.

The method has one model, which is measured as that of every node: the nodes' own copies are older.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flwr_digest.learning.arrays import Floats
from flwr_digest.learning.seeds import Purpose, generator
from flwr_digest.sim.rivals.clock import Clock
from flwr_digest.sim.rivals.post import Post
from flwr_digest.sim.rivals.training import LearningRate, Trainer, everywhere, local_steps_of

if TYPE_CHECKING:
    from flwr_digest.sim.methods import Settings
    from flwr_digest.sim.problem import Problem
    from flwr_digest.sim.record import Recorder

LOCAL_STEPS = 1
"""Local steps at each visit: as published."""


class Walker:
    """Where the model goes: Metropolis-Hastings with the nodes' weights as its aim."""

    def __init__(self, problem: Problem) -> None:
        self._peers = {node: sorted(near) for node, near in problem.neighbors.items()}
        self._weights = problem.weights.tolist()
        self._draws = generator(problem.seed, Purpose.METHOD)
        self.node = int(self._draws.integers(problem.nodes))

    def propose(self) -> int:
        """Return where to go: a neighbor, or the node itself; does not go there yet."""
        here, peers = self.node, self._peers[self.node]
        if not peers:
            return here
        peer = peers[int(self._draws.integers(len(peers)))]
        way_there = self._weights[here] / len(peers)
        way_back = self._weights[peer] / len(self._peers[peer])
        return peer if self._draws.random() * way_there < way_back else here


class _Walk:
    """The walking model, and what is known of the run so far."""

    def __init__(self, problem: Problem, settings: Settings, recorder: Recorder) -> None:
        self._problem, self._recorder = problem, recorder
        self._trainer = Trainer(problem, weighted=False)
        self._rate = LearningRate(problem, settings)
        self._clock, self._post = Clock(problem), Post(problem.network())
        self._walker = Walker(problem)
        self._steps = [0] * problem.nodes
        self._trained_seconds = 0.0
        self._model: Floats = np.array(problem.initial)

    def visit(self, start: float, steps: int) -> float:
        """Make local steps where the model is; return when they are done."""
        node = self._walker.node
        for finish in self._clock.finishes(node, start, self._steps[node], steps).tolist():
            self._measure(start, finish)
            gradient = self._trainer.gradients_of(np.array([node]), self._model[np.newaxis])[0]
            self._model = self._model - np.float32(self._rate.at(finish)) * gradient
            self._trained_seconds += self._present_between(start, finish)
            self._steps[node] += 1
            start = finish
        return start

    def move(self, at: float) -> float:
        """Let the model go on, or stay; return when it is there."""
        here, there = self._walker.node, self._walker.propose()
        if there == here or not self._post.is_up(here, there, at):
            return at
        self._walker.node = there
        return self._post.send(here, there, self._problem.model_bytes, at)

    def _measure(self, start: float, finish: float) -> None:
        """Measure what is due before a step that lasts from `start` to `finish` is done."""
        while (due := self._recorder.next_due) is not None and due < finish:
            trained = self._trained_seconds + max(0.0, self._present_between(start, due))
            self._recorder.measure(
                due,
                everywhere(self._model, self._problem.nodes),
                bytes_sent=self._post.bytes_by(due),
                idle_share=1.0 - trained / (due * self._problem.nodes),
                steps=sum(self._steps) / self._problem.nodes,
            )

    def _present_between(self, start: float, end: float) -> float:
        present, node = self._clock.present_seconds, self._walker.node
        return present(node, end) - present(node, start)


def run(problem: Problem, settings: Settings, recorder: Recorder) -> None:
    """Run random-walk SGD until all is measured; one model over one link at a time."""
    steps = local_steps_of(settings, LOCAL_STEPS)
    walk, time = _Walk(problem, settings, recorder), 0.0
    while recorder.next_due is not None:
        time = walk.move(walk.visit(time, steps))
