"""Linear least squares: quadratic, so its best model is known exactly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flwr_digest.learning.arrays import Doubles, Floats, Integers
from flwr_digest.learning.chunks import in_chunks, penalties


class LeastSquares:
    """One matrix of weights that shall give 1 for a sample's own class and 0 for the others.

    The loss of a sample is half the squared distance to that. A model is the matrix ``[features,
    classes]``, flat; the bias is the row of the data's last feature, the constant 1. The curvature
    is that of the data, so plain gradient descent needs a learning rate below 2 over its largest
    eigenvalue (digits: about 0.1).

    Parameters
    ----------
    features : int
        How many features a sample has, the constant included.
    classes : int
        How many different labels there are.
    regularization : float
        The loss includes half of this times the squared length of the model. 1e-3: as for softmax
        regression.
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
        n, b = y.shape
        errors = np.matmul(x, models.reshape(n, self._features, self._classes))
        starts = np.arange(0, errors.size, self._classes)
        errors.reshape(-1)[starts + y.reshape(-1)] -= 1
        errors /= b
        gradients: Floats = np.matmul(x.transpose(0, 2, 1), errors).reshape(n, self.size)
        gradients += self._regularization * models
        return gradients

    def evaluate(self, models: Floats, x: Floats, y: Integers) -> tuple[Doubles, Doubles]:
        """Return each model's loss and accuracy on the same data; see `Task.evaluate`."""

        def fit(chunk: Floats) -> tuple[Doubles, Doubles]:
            weights = chunk.reshape(-1, self._features, self._classes).transpose(0, 2, 1)
            errors = (weights.reshape(-1, self._features) @ x.T).reshape(-1, self._classes, len(y))
            accuracies = (errors.argmax(axis=1) == y).mean(axis=1)
            errors[:, y, np.arange(len(y))] -= 1
            squares = np.einsum("ncm,ncm->n", errors, errors, dtype=np.float64)
            return 0.5 * squares / len(y), accuracies

        losses, accuracies = in_chunks(fit, models, self._classes * len(y))
        return losses + penalties(models, self._regularization), accuracies

    def optimum(self, x: Floats, y: Integers) -> Doubles:
        """Return the best model for the data, ``[d]``, from the normal equations in float64."""
        samples = x.astype(np.float64)
        targets = np.eye(self._classes)[y]
        curvature = samples.T @ samples / len(y) + self._regularization * np.eye(self._features)
        best = np.linalg.solve(curvature, samples.T @ targets / len(y))
        return np.asarray(best, dtype=np.float64).reshape(-1)
