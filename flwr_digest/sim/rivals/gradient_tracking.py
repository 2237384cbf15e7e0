"""Gradient tracking: gossip with an estimate of the mean gradient, which takes out the drift.

One local step: DSGT, Pu and Nedić, "Distributed Stochastic Gradient Tracking Methods", 2021, arXiv
1805.11454, equation 3. More: K-GT, Liu, Lin, Koloskova and Stich, "Decentralized Gradient Tracking
with Local Steps", 2023, arXiv 2301.01313, algorithm 1, with a communication step size of 1 and
corrections that start at 0, so that no node needs to know the mean gradient before the start.
Both with Metropolis-Hastings weights; both send two vectors.
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
"""Local steps between two exchanges: as gradient tracking was first published."""

VECTORS = 2
"""In each message: the model and the tracker, or the mean step."""


class GradientTracking:
    """DSGT: models, trackers, and the gradients that the trackers have taken in last."""

    def __init__(self, problem: Problem) -> None:
        self._trainer = Trainer(problem, weighted=True)
        self._mixing = metropolis_weights(problem.neighbors).astype(np.float32)
        self.models: Floats = np.tile(problem.initial, (problem.nodes, 1))
        self.gradients: Floats = np.zeros_like(self.models)
        self.trackers: Floats = np.zeros_like(self.models)
        self._mixed_trackers: Floats = np.zeros_like(self.models)

    def round(self, rate: float) -> None:
        """Bring the trackers up to date with one gradient, step along them, average both."""
        gradients = self._trainer.gradients(self.models)
        self.trackers = self._mixed_trackers + gradients - self.gradients
        self.gradients = gradients
        self.models = self._mixing @ (self.models - np.float32(rate) * self.trackers)
        self._mixed_trackers = self._mixing @ self.trackers


class KGradientTracking:
    """K-GT: models, and each node's correction, which stays the same for a round's local steps."""

    def __init__(self, problem: Problem, local_steps: int) -> None:
        self._local_steps = local_steps
        self._trainer = Trainer(problem, weighted=True)
        self._mixing = metropolis_weights(problem.neighbors).astype(np.float32)
        self.models: Floats = np.tile(problem.initial, (problem.nodes, 1))
        self.corrections: Floats = np.zeros_like(self.models)

    def round(self, rate: float) -> None:
        """Make corrected local steps; correct by how far the neighbors' mean step differs."""
        stepped = self._trainer.descend(self.models, rate, self._local_steps, self.corrections)
        mean_steps = (self.models - stepped) / np.float32(rate * self._local_steps)
        self.corrections = self.corrections - mean_steps + self._mixing @ mean_steps
        self.models = self._mixing @ stepped


def run(problem: Problem, settings: Settings, recorder: Recorder) -> None:
    """Run DSGT or K-GT until all is measured; two vectors over each link and direction."""
    steps = local_steps_of(settings, LOCAL_STEPS)
    method = GradientTracking(problem) if steps == 1 else KGradientTracking(problem, steps)
    gossip = Gossip(Post(problem.network()), problem.neighbors, VECTORS * problem.model_bytes)
    run_rounds(problem, settings, recorder, method, gossip, local_steps=steps)
