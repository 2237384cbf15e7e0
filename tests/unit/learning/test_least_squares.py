"""Linear least squares."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.learning.least_squares import LeastSquares
from tests.unit.learning.tiny_data import tiny_dataset


def test_the_loss_is_half_the_squared_distance_to_the_own_class() -> None:
    task = LeastSquares(1, 2, regularization=0)
    losses, accuracies = task.evaluate(np.array([[0.5, 2.0]]), np.array([[1.0]]), np.array([1]))
    assert losses == pytest.approx([(0.5**2 + 1.0**2) / 2])
    assert accuracies.tolist() == [1]


def test_at_the_optimum_the_gradient_is_zero() -> None:
    data = tiny_dataset()
    task = LeastSquares(4, 3, regularization=0.01)
    x = data.train_x.astype(np.float64)
    best = task.optimum(data.train_x, data.train_y)
    gradients = task.gradients(best[np.newaxis], x[np.newaxis], data.train_y[np.newaxis])
    assert best.dtype == np.float64
    assert gradients == pytest.approx(0, abs=1e-12)


def test_it_starts_from_zero_whatever_the_seed() -> None:
    assert not LeastSquares(4, 3).initial(7).any()
