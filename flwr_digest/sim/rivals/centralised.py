"""SGD on the data of all nodes in one place: the reference, which has no network to wait for.

Each step takes the mean of one minibatch of every node, by the nodes' weights, and as long as a
mean local step. Nothing is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flwr_digest.sim.rivals.training import LearningRate, Trainer, everywhere

if TYPE_CHECKING:
    from flwr_digest.sim.methods import Settings
    from flwr_digest.sim.problem import Problem
    from flwr_digest.sim.record import Recorder


def run(problem: Problem, settings: Settings, recorder: Recorder) -> None:
    """Run centralised SGD until all is measured; `local_steps` has no meaning here."""
    trainer, rate = Trainer(problem, weighted=False), LearningRate(problem, settings)
    weights = problem.weights.astype(np.float32)
    step_seconds, steps = problem.scenario.step_seconds, 0
    models = everywhere(problem.initial, problem.nodes)
    while (due := recorder.next_due) is not None:
        while (steps + 1) * step_seconds <= due:
            gradient = weights @ trainer.gradients(models)
            moved = models[0] - np.float32(rate.at(steps * step_seconds)) * gradient
            models = everywhere(moved, problem.nodes)
            steps += 1
        recorder.measure(
            due, models, bytes_sent=0, idle_share=0.0, steps=steps, staleness_steps=0.0
        )
