"""D-PSGD: synchronous gossip, each node averages with all its neighbors.

Lian, Zhang, Zhang, Hsieh, Zhang and Liu, "Can Decentralized Algorithms Outperform Centralized
Algorithms? A Case Study for Decentralized Parallel Stochastic Gradient Descent", 2017, arXiv
1705.09056, algorithm 1, with Metropolis-Hastings weights. As published, the gradient is computed
where the averaging starts from, so that the models are on their way meanwhile.

With more than one local step it is local D-PSGD: steps first, then the exchange (Koloskova, Loizou,
Boreiri, Jaggi and Stich, "A Unified Theory of Decentralized SGD with Changing Topology and Local
Updates", 2020, arXiv 2003.10422, algorithm 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flwr_digest.learning.arrays import Floats
from flwr_digest.sim.rivals.gossip import Gossip
from flwr_digest.sim.rivals.post import Post
from flwr_digest.sim.rivals.rounds import run_rounds
from flwr_digest.sim.rivals.training import Trainer, local_steps_of
from flwr_digest.topology.mixing import metropolis_weights

if TYPE_CHECKING:
    from flwr_digest.sim.methods import Settings
    from flwr_digest.sim.problem import Problem
    from flwr_digest.sim.record import Recorder

LOCAL_STEPS = 1
"""Local steps between two exchanges: as published."""


class DPsgd:
    """All nodes' models, and what a round makes of them."""

    def __init__(self, problem: Problem, local_steps: int) -> None:
        self._local_steps = local_steps
        self._trainer = Trainer(problem, weighted=True)
        self._mixing = metropolis_weights(problem.neighbors).astype(np.float32)
        self.models: Floats = np.tile(problem.initial, (problem.nodes, 1))

    def round(self, rate: float) -> None:
        """Average with the neighbors: before the gradient step if it is one, after if more."""
        if self._local_steps == 1:
            step = np.float32(rate) * self._trainer.gradients(self.models)
            self.models = self._mixing @ self.models - step
        else:
            stepped = self._trainer.descend(self.models, rate, self._local_steps)
            self.models = self._mixing @ stepped


def run(problem: Problem, settings: Settings, recorder: Recorder) -> None:
    """Run D-PSGD until all is measured; one model over each link and direction in a round."""
    steps = local_steps_of(settings, LOCAL_STEPS)
    post = Post(problem.network())
    gossip = Gossip(post, problem.neighbors, problem.model_bytes, overlaps=steps == 1)
    run_rounds(problem, settings, recorder, DPsgd(problem, steps), gossip, local_steps=steps)
