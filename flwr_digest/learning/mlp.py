"""A network with one hidden layer: the smallest task that is not convex."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flwr_digest.learning.arrays import Doubles, Floats, Integers
from flwr_digest.learning.chunks import in_chunks, penalties
from flwr_digest.learning.cross_entropy import errors_in_place, losses_and_hits
from flwr_digest.learning.seeds import Purpose, generator


class Mlp:
    """Two matrices with rectified units between them, and cross entropy.

    A model is ``[features, hidden]``, ``[hidden, classes]`` and ``[classes]`` (the second layer's
    bias), flat, one after the other. The first layer's bias is the row of the data's last feature,
    the constant 1.

    Parameters
    ----------
    features : int
        How many features a sample has, the constant included.
    hidden : int
        Units of the hidden layer.
    classes : int
        How many different labels there are.
    regularization : float
        The loss includes half of this times the squared length of the model. 1e-3: as for softmax
        regression.
    """

    def __init__(
        self, features: int, hidden: int, classes: int, regularization: float = 1e-3
    ) -> None:
        self._features = features
        self._hidden = hidden
        self._classes = classes
        self._regularization = regularization

    @property
    def size(self) -> int:
        """How many parameters a model has."""
        return self._features * self._hidden + self._hidden * self._classes + self._classes

    def initial(self, seed: int) -> npt.NDArray[np.float32]:
        """Return He et al.'s initialization (2015): weights by fan-in, biases 0."""
        draws = generator(seed, Purpose.INITIAL)
        first = draws.standard_normal((self._features, self._hidden))
        first *= np.sqrt(2 / max(1, self._features - 1))
        first[-1] = 0  # the bias
        second = draws.standard_normal((self._hidden, self._classes)) * np.sqrt(2 / self._hidden)
        parts = [first.reshape(-1), second.reshape(-1), np.zeros(self._classes)]
        return np.concatenate(parts).astype(np.float32)

    def gradients(self, models: Floats, x: Floats, y: Integers) -> Floats:
        """Return each model's gradient on its own minibatch; see `Task.gradients`."""
        first, second, bias = self._layers(models)
        active = np.matmul(x, first)
        np.maximum(active, 0, out=active)
        errors = np.matmul(active, second)
        errors += bias[:, np.newaxis]
        errors_in_place(errors, y)
        gradients = np.empty_like(models)
        by_first, by_second, by_bias = self._layers(gradients)
        np.matmul(active.transpose(0, 2, 1), errors, out=by_second)
        errors.sum(axis=1, out=by_bias)
        back = np.matmul(errors, second.transpose(0, 2, 1))
        back *= active > 0
        np.matmul(x.transpose(0, 2, 1), back, out=by_first)
        gradients += self._regularization * models
        return gradients

    def evaluate(self, models: Floats, x: Floats, y: Integers) -> tuple[Doubles, Doubles]:
        """Return each model's loss and accuracy on the same data; see `Task.evaluate`."""

        def fit(chunk: Floats) -> tuple[Doubles, Doubles]:
            first, second, bias = self._layers(chunk)
            active = first.transpose(0, 2, 1).reshape(-1, self._features) @ x.T
            np.maximum(active, 0, out=active)
            by_unit = active.reshape(-1, self._hidden, len(y))
            logits = np.matmul(second.transpose(0, 2, 1), by_unit)
            logits += bias[:, :, np.newaxis]
            return losses_and_hits(logits, y)

        losses, accuracies = in_chunks(fit, models, self._hidden * len(y))
        return losses + penalties(models, self._regularization), accuracies

    def _layers(self, models: Floats) -> tuple[Floats, Floats, Floats]:
        """Return views of all models' layers: ``[n, f, h]``, ``[n, h, c]``, ``[n, c]``."""
        inner = self._features * self._hidden
        outer = inner + self._hidden * self._classes
        return (
            models[:, :inner].reshape(-1, self._features, self._hidden),
            models[:, inner:outer].reshape(-1, self._hidden, self._classes),
            models[:, outer:],
        )
