"""Local steps of all nodes at once, and the settings that all rivals share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flwr_digest.errors import ConfigError
from flwr_digest.learning.arrays import Floats

if TYPE_CHECKING:
    from flwr_digest.sim.methods import Settings
    from flwr_digest.sim.problem import Problem


def local_steps_of(settings: Settings, default: int) -> int:
    """Return how many local steps a node makes between two exchanges.

    Raises
    ------
    ConfigError
        Fewer than 1: only DIGEST's streams can go on without waiting for a local step.
    """
    steps = default if settings.local_steps is None else settings.local_steps
    if steps < 1:
        raise ConfigError(f"local_steps is {steps}: this method needs a whole number of 1 or more")
    return steps


class LearningRate:
    """The learning rate over time: the settings' or else the scenario's, with its decay."""

    def __init__(self, problem: Problem, settings: Settings) -> None:
        self._scenario = problem.scenario
        self._start = settings.learning_rate

    def at(self, seconds: float) -> float:
        """Return the learning rate at a time."""
        return self._scenario.learning_rate_at(seconds, self._start)


class Trainer:
    """The nodes' minibatches and gradients.

    Parameters
    ----------
    problem : Problem
        What is learned.
    weighted : bool
        Whether gradients are scaled by N times the node's weight: for methods that know no
        weights, so that all minimize the same loss.
    """

    def __init__(self, problem: Problem, *, weighted: bool) -> None:
        self._task = problem.task
        self._batches = problem.batches()
        self._everyone = np.arange(problem.nodes)
        scale = problem.nodes * problem.weights if weighted else np.ones(problem.nodes)
        self._scale = scale.astype(np.float32)[:, np.newaxis]
        self._scaled = not np.allclose(scale, 1.0)

    def gradients(self, models: Floats) -> Floats:
        """Return all nodes' gradients on their next minibatches, ``[N, d]``."""
        return self.gradients_of(self._everyone, models)

    def gradients_of(self, nodes: np.ndarray, models: Floats) -> Floats:
        """Return some nodes' gradients on their next minibatches.

        Parameters
        ----------
        nodes : numpy.ndarray
            Shape ``[n]``, integers, all different.
        models : numpy.ndarray
            Shape ``[n, d]``: at which models, in the order of `nodes`.

        Returns
        -------
        numpy.ndarray
            A new array ``[n, d]``.
        """
        gradients = self._task.gradients(models, *self._batches.next(nodes))
        if self._scaled:
            gradients *= self._scale[nodes]
        return gradients

    def descend(
        self, models: Floats, rate: float, steps: int, correction: Floats | None = None
    ) -> Floats:
        """Return the models after local steps at all nodes, as a new array ``[N, d]``.

        Parameters
        ----------
        models : numpy.ndarray
            Shape ``[N, d]``; left as they are.
        rate : float
            The learning rate.
        steps : int
            How many steps each node makes.
        correction : numpy.ndarray, optional
            Shape ``[N, d]``: added to each gradient.
        """
        models = np.array(models, order="C")
        for _ in range(steps):
            gradients = self.gradients(models)
            if correction is not None:
                gradients += correction
            gradients *= np.float32(rate)
            models -= gradients
        return models


def everywhere(model: Floats, nodes: int) -> Floats:
    """Return one model as that of all nodes, ``[N, d]``; a read-only view."""
    return np.broadcast_to(model, (nodes, len(model)))
