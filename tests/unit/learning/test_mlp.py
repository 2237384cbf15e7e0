"""The network with one hidden layer."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.learning.mlp import Mlp


def test_a_model_is_two_matrices_and_a_bias() -> None:
    assert Mlp(65, 64, 10).size == 65 * 64 + 64 * 10 + 10


def test_weights_start_by_fan_in_and_biases_at_zero() -> None:
    task = Mlp(101, 200, 10)
    start = task.initial(1)
    first, rest = np.split(start, [101 * 200])
    second, bias = np.split(rest, [200 * 10])
    assert first[: 100 * 200].std() == pytest.approx(np.sqrt(2 / 100), rel=0.02)
    assert second.std() == pytest.approx(np.sqrt(2 / 200), rel=0.05)
    assert not first[100 * 200 :].any()
    assert not bias.any()


def test_another_seed_is_another_start() -> None:
    task = Mlp(5, 4, 3)
    assert task.initial(1).tobytes() != task.initial(2).tobytes()


def test_a_hidden_unit_counts_only_when_it_is_active() -> None:
    task = Mlp(1, 1, 2, regularization=0)
    model = np.array([[3.0, 0.0, 1.0, 0.5, 0.0]])  # unit = max(3 x, 0); logits = (0.5, unit)
    losses, accuracies = task.evaluate(model, np.array([[1.0], [-1.0]]), np.array([1, 0]))
    expected = np.log1p(np.exp([0.5 - 3, 0 - 0.5])).mean()
    assert losses == pytest.approx([expected])
    assert accuracies.tolist() == [1]
