"""Softmax regression."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.learning.softmax import SoftmaxRegression


def test_a_model_is_one_matrix() -> None:
    assert SoftmaxRegression(65, 10).size == 650


def test_it_starts_from_zero_whatever_the_seed() -> None:
    assert not SoftmaxRegression(65, 10).initial(7).any()


def test_zero_is_as_good_as_a_guess() -> None:
    task = SoftmaxRegression(3, 4)
    losses, accuracies = task.evaluate(np.zeros((1, 12)), np.ones((8, 3)), np.arange(8) % 4)
    assert losses == pytest.approx([np.log(4)])
    assert accuracies.tolist() == [0.25]


def test_the_matrix_has_a_row_for_each_feature() -> None:
    task = SoftmaxRegression(2, 3, regularization=0)
    model = np.zeros((1, 6))
    model[0, 3 + 2] = 50  # feature 1 speaks for class 2
    losses, accuracies = task.evaluate(model, np.array([[0.0, 1.0]]), np.array([2]))
    assert losses == pytest.approx([0], abs=1e-9)
    assert accuracies.tolist() == [1]
