"""FedAvg: local SGD at all nodes, averaged by a server.

McMahan, Moore, Ramage, Hampson and Agüera y Arcas, "Communication-Efficient Learning of Deep
Networks from Decentralized Data", 2017, arXiv 1602.05629, algorithm 1; with all nodes in each round
(C = 1), and local work counted in minibatch steps instead of passes over the data.
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

LOCAL_STEPS = 5
"""Local steps a round: as the project's first measurements were made. Measured on digits sorted by
label: one comes to a lower gap, five send a fifth for each step."""


class FedAvg:
    """The global model, and what a round makes of it."""

    def __init__(self, problem: Problem, local_steps: int) -> None:
        self._local_steps = local_steps
        self._trainer = Trainer(problem, weighted=False)
        self._weights = problem.weights.astype(np.float32)
        self.models: Floats = everywhere(problem.initial, problem.nodes)

    def round(self, rate: float) -> None:
        """Make local steps from the global model, and average by the nodes' weights."""
        locals_ = self._trainer.descend(self.models, rate, self._local_steps)
        self.models = everywhere(self._weights @ locals_, len(locals_))


def run(problem: Problem, settings: Settings, recorder: Recorder) -> None:
    """Run FedAvg until all is measured; one model each way in a round."""
    steps = local_steps_of(settings, LOCAL_STEPS)
    server = Server(problem, settings.server, problem.model_bytes)
    lag = np.zeros((problem.nodes, problem.nodes))
    method = FedAvg(problem, steps)
    run_rounds(problem, settings, recorder, method, server, local_steps=steps, lag_rounds=lag)
