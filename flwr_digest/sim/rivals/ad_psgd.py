"""AD-PSGD: asynchronous gossip; nodes compute all the time and average with one neighbor each.

Lian, Zhang, Zhang and Liu, "Asynchronous Decentralized Parallel Stochastic Gradient Descent", 2018,
arXiv 1710.06952, algorithm 1. As published, a gradient is computed at the model as it was when the
step began, and applied to the model as it is when the step ends, averagings in between included.

Simplified, on the method's side: an averaging is one moment at both nodes, as soon as both models
have crossed the link, so that nobody holds a lock and there is no deadlock to avoid (for which the
paper needs a bipartite graph); and a neighbor whose link is down is never asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flwr_digest.learning.arrays import Floats
from flwr_digest.sim.rivals.clock import Clock
from flwr_digest.sim.rivals.meetings import Event, Meetings, Wave, in_waves
from flwr_digest.sim.rivals.post import Post
from flwr_digest.sim.rivals.training import LearningRate, Trainer, local_steps_of

if TYPE_CHECKING:
    from flwr_digest.sim.methods import Settings
    from flwr_digest.sim.problem import Problem
    from flwr_digest.sim.record import Recorder

LOCAL_STEPS = 1
"""Local steps before a node asks a neighbor: as published."""


class AdPsgd:
    """All nodes' models, and the gradient that each is computing."""

    def __init__(self, problem: Problem, rate: LearningRate) -> None:
        self._trainer = Trainer(problem, weighted=True)
        self._rate = rate
        self._nodes = problem.nodes
        self.models: Floats = np.tile(problem.initial, (problem.nodes, 1))
        self._gradients = self._trainer.gradients(self.models)

    def play(self, events: list[Event]) -> None:
        """Carry out steps and averagings that are given in the order of time."""
        for wave in in_waves(events, self._nodes):
            if wave.steppers:
                self._step(wave)
            if wave.pairs:
                self._average(wave)

    def _step(self, wave: Wave) -> None:
        """Apply the gradients that are done, and begin with the next."""
        nodes = np.array(wave.steppers)
        rates = np.array([self._rate.at(time) for time in wave.times], dtype=np.float32)
        models = self.models[nodes] - rates[:, np.newaxis] * self._gradients[nodes]
        self.models[nodes] = models
        self._gradients[nodes] = self._trainer.gradients_of(nodes, models)

    def _average(self, wave: Wave) -> None:
        """Let pairs of nodes take the average of their models."""
        one, other = np.array(wave.pairs).T
        averages = np.float32(0.5) * (self.models[one] + self.models[other])
        self.models[one] = averages
        self.models[other] = averages


def run(problem: Problem, settings: Settings, recorder: Recorder) -> None:
    """Run AD-PSGD until all is measured; one model in each direction for an averaging."""
    post, clock = Post(problem.network()), Clock(problem)
    meetings = Meetings(problem, post, local_steps_of(settings, LOCAL_STEPS))
    method = AdPsgd(problem, LearningRate(problem, settings))
    steps = 0
    while (due := recorder.next_due) is not None:
        events = meetings.until(due)
        method.play(events)
        steps += sum(peer < 0 for _, _, peer in events)
        present = sum(clock.present_seconds(node, due) for node in range(problem.nodes))
        recorder.measure(
            due,
            method.models,
            bytes_sent=post.bytes_by(due),
            idle_share=1.0 - present / (due * problem.nodes),
            steps=steps / problem.nodes,
        )
