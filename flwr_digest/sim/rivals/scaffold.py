"""SCAFFOLD: FedAvg with control variates that take out the drift of the nodes.

Karimireddy, Kale, Mohri, Reddi, Stich and Suresh, "SCAFFOLD: Stochastic Controlled Averaging for
Federated Learning", 2020, arXiv 1910.06378, algorithm 1 with option II; with all nodes in each
round and a global step size of 1. Model and control variate go each way: twice FedAvg's bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flwr_digest.learning.arrays import Floats
from flwr_digest.sim.rivals.rounds import run_rounds
from flwr_digest.sim.rivals.server import Server
from flwr_digest.sim.rivals.training import Trainer, everywhere, local_steps_of

if TYPE_CHECKING:
    from flwr_digest.sim.methods import Settings
    from flwr_digest.sim.problem import Problem
    from flwr_digest.sim.record import Recorder

LOCAL_STEPS = 20
"""Local steps a round. Measured on digits sorted by label, at a learning rate of 0.5: of 1, 5 and
20 the soonest to a gap of 0.05, with 16 nodes and with 64."""

VECTORS = 2
"""In each message: the model and the control variate."""


class Scaffold:
    """The global model, and the control variates of nodes and server."""

    def __init__(self, problem: Problem, local_steps: int) -> None:
        self._local_steps = local_steps
        self._trainer = Trainer(problem, weighted=False)
        self._weights = problem.weights.astype(np.float32)
        self.models: Floats = everywhere(problem.initial, problem.nodes)
        self.variates: Floats = np.zeros(self.models.shape, dtype=np.float32)
        self.server_variate: Floats = np.zeros_like(problem.initial)

    def round(self, rate: float) -> None:
        """Make corrected local steps; a node's new variate is its mean gradient (option II)."""
        correction = self.server_variate - self.variates
        locals_ = self._trainer.descend(self.models, rate, self._local_steps, correction)
        mean_gradients = (self.models - locals_) / np.float32(rate * self._local_steps) - correction
        self.server_variate = self.server_variate + self._weights @ (mean_gradients - self.variates)
        self.variates = mean_gradients
        self.models = everywhere(self._weights @ locals_, len(locals_))


def run(problem: Problem, settings: Settings, recorder: Recorder) -> None:
    """Run SCAFFOLD until all is measured; two vectors each way in a round."""
    steps = local_steps_of(settings, LOCAL_STEPS)
    server = Server(problem, settings.server, VECTORS * problem.model_bytes)
    lag = np.zeros((problem.nodes, problem.nodes))
    method = Scaffold(problem, steps)
    run_rounds(problem, settings, recorder, method, server, local_steps=steps, lag_rounds=lag)
