"""Softmax regression: convex, so every run can be told how far from the best model it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flwr_digest.learning.arrays import Doubles, Floats, Integers
from flwr_digest.learning.chunks import in_chunks, penalties
from flwr_digest.learning.cross_entropy import errors_in_place, losses_and_hits


class SoftmaxRegression:
    """One matrix of weights, cross entropy, and a quadratic penalty on all weights.

    A model is the matrix ``[features, classes]``, flat. The bias is the row of the data's last
    feature, the constant 1.

    Parameters
    ----------
    features : int
        How many features a sample has, the constant included.
    classes : int
        How many different labels there are.
    regularization : float
        The loss includes half of this times the squared length of the model. 1e-3: as the
        project's measurements were made; it makes the best model unique.
    """

    def __init__(self, features: int, classes: int, regularization: float = 1e-3) -> None:
        self._features = features
        self._classes = classes
        self._regularization = regularization

    @property
    def size(self) -> int:
        """How many parameters a model has."""
        return self._features * self._classes

    def initial(self, seed: int) -> npt.NDArray[np.float32]:
        """Return zeros, whatever the seed: the loss is convex, so any start will do."""
        return np.zeros(self.size, dtype=np.float32)

    def gradients(self, models: Floats, x: Floats, y: Integers) -> Floats:
        """Return each model's gradient on its own minibatch; see `Task.gradients`."""
        n = len(y)
        weights = models.reshape(n, self._features, self._classes)
        errors = np.matmul(x, weights)
        errors_in_place(errors, y)
        gradients: Floats = np.matmul(x.transpose(0, 2, 1), errors).reshape(n, self.size)
        gradients += self._regularization * models
        return gradients

    def evaluate(self, models: Floats, x: Floats, y: Integers) -> tuple[Doubles, Doubles]:
        """Return each model's loss and accuracy on the same data; see `Task.evaluate`."""

        def fit(chunk: Floats) -> tuple[Doubles, Doubles]:
            weights = chunk.reshape(-1, self._features, self._classes).transpose(0, 2, 1)
            logits = weights.reshape(-1, self._features) @ x.T
            return losses_and_hits(logits.reshape(-1, self._classes, len(y)), y)

        losses, accuracies = in_chunks(fit, models, self._classes * len(y))
        return losses + penalties(models, self._regularization), accuracies
