"""What is learned: a model as a flat vector, its gradients and its quality, for many at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from flwr_digest.learning.arrays import Doubles, Floats, Integers
from flwr_digest.learning.checks import check_name
from flwr_digest.learning.datasets import Dataset
from flwr_digest.learning.least_squares import LeastSquares
from flwr_digest.learning.mlp import Mlp
from flwr_digest.learning.softmax import SoftmaxRegression


class Task(Protocol):
    """A model's shape and its loss. The same for all nodes; holds no state.

    Everything is computed in the type of `models` and `x`: float32 in a run, float64 for
    references. What a model gets does not depend on which others are in the same call, to the last
    bit where minibatches have two samples or more.
    """

    @property
    def size(self) -> int:
        """How many parameters a model has (d)."""

    def initial(self, seed: int) -> npt.NDArray[np.float32]:
        """Return the model that all nodes start from, ``[d]``."""

    def gradients(self, models: Floats, x: Floats, y: Integers) -> Floats:
        """Return each model's gradient on its own minibatch.

        Parameters
        ----------
        models : numpy.ndarray
            Shape ``[n, d]``, C-contiguous rows.
        x : numpy.ndarray
            Shape ``[n, b, f]``, of the same type.
        y : numpy.ndarray
            Shape ``[n, b]``, int64.

        Returns
        -------
        numpy.ndarray
            A new array ``[n, d]``: the gradient of the mean loss of the minibatch, penalty
            included.
        """

    def evaluate(self, models: Floats, x: Floats, y: Integers) -> tuple[Doubles, Doubles]:
        """Return how good each model is on the same data, in little memory.

        Parameters
        ----------
        models : numpy.ndarray
            Shape ``[n, d]``, n at least 1.
        x : numpy.ndarray
            Shape ``[m, f]``, of the same type.
        y : numpy.ndarray
            Shape ``[m]``, int64.

        Returns
        -------
        losses : numpy.ndarray
            Shape ``[n]``, float64: the mean loss of the samples, plus the penalty.
        accuracies : numpy.ndarray
            Shape ``[n]``, float64: the share of samples whose label the model finds.
        """


def _softmax(dataset: Dataset, hidden: int, regularization: float) -> Task:
    return SoftmaxRegression(dataset.features, dataset.classes, regularization)


def _mlp(dataset: Dataset, hidden: int, regularization: float) -> Task:
    return Mlp(dataset.features, hidden, dataset.classes, regularization)


def _least_squares(dataset: Dataset, hidden: int, regularization: float) -> Task:
    return LeastSquares(dataset.features, dataset.classes, regularization)


MODELS: Mapping[str, Callable[[Dataset, int, float], Task]] = {
    "softmax": _softmax,
    "mlp": _mlp,
    "least-squares": _least_squares,
}


def make_task(model: str, dataset: Dataset, *, hidden: int, regularization: float) -> Task:
    """Return the task of learning a data set with a kind of model.

    Parameters
    ----------
    model : str
        One of `MODELS`.
    dataset : Dataset
        Gives the features and the classes.
    hidden : int
        Of `mlp`: the units of its hidden layer.
    regularization : float
        The loss includes half of this times the squared length of the model.

    Raises
    ------
    ConfigError
        Unknown model.
    """
    check_name("model", model, MODELS)
    return MODELS[model](dataset, hidden, regularization)
