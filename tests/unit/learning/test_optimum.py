"""The least loss, against independent computations."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from flwr_digest.errors import ConfigError
from flwr_digest.learning.arrays import Doubles, Integers
from flwr_digest.learning.datasets import load_dataset
from flwr_digest.learning.least_squares import LeastSquares
from flwr_digest.learning.mlp import Mlp
from flwr_digest.learning.optimum import optimum
from flwr_digest.learning.softmax import SoftmaxRegression
from tests.unit.learning.tiny_data import tiny_dataset

DATA = tiny_dataset()


def textbook(model: Doubles, x: Doubles, y: Integers, penalty: float) -> tuple[float, Doubles]:
    """Return softmax regression's loss and gradient, written as plainly as can be."""
    logits = x @ model.reshape(x.shape[1], -1)
    logits -= logits.max(axis=1, keepdims=True)
    likelihoods = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss = -np.log(likelihoods[np.arange(len(y)), y]).mean() + penalty / 2 * model @ model
    likelihoods[np.arange(len(y)), y] -= 1
    return loss, (x.T @ likelihoods / len(y)).ravel() + penalty * model


def test_the_digits_least_loss_is_what_scipy_finds_for_the_textbook_formula() -> None:
    digits = load_dataset("digits", 1)
    arguments = (digits.train_x.astype(np.float64), digits.train_y, 1e-3)
    options = {"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-9}
    with threadpool_limits(limits=1):
        found = minimize(
            textbook, np.ones(650), arguments, jac=True, method="L-BFGS-B", options=options
        )
    least = optimum(SoftmaxRegression(65, 10), digits.train_x, digits.train_y)
    assert least == pytest.approx(found.fun, abs=1e-9)


def test_least_squares_is_exact() -> None:
    x, y = DATA.train_x.astype(np.float64), DATA.train_y
    best, *_ = np.linalg.lstsq(x, np.eye(3)[y], rcond=None)
    expected = ((x @ best - np.eye(3)[y]) ** 2).sum() / 2 / len(y)
    assert optimum(LeastSquares(4, 3, 0.0), x, y) == pytest.approx(expected, rel=1e-12)


def test_no_model_near_by_is_better() -> None:
    task = LeastSquares(4, 3)
    best = task.optimum(DATA.train_x, DATA.train_y)
    others = best + 1e-3 * np.random.default_rng(0).standard_normal((50, task.size))
    losses, _ = task.evaluate(others, DATA.train_x.astype(np.float64), DATA.train_y)
    assert losses.min() > optimum(task, DATA.train_x, DATA.train_y)


def test_a_network_is_trained_for_long_from_the_given_start() -> None:
    task = Mlp(4, 5, 3, 0.01)
    found = optimum(task, DATA.train_x, DATA.train_y, seed=1)
    convex = optimum(SoftmaxRegression(4, 3, 0.01), DATA.train_x, DATA.train_y)
    assert found < convex
    assert found == optimum(task, DATA.train_x, DATA.train_y, seed=1)
    assert found != optimum(task, DATA.train_x, DATA.train_y, seed=2)


@pytest.mark.parametrize("package", ["scipy.optimize", "threadpoolctl"])
def test_without_its_packages_the_extra_is_named(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError) as caught:
        optimum(SoftmaxRegression(4, 3), DATA.train_x, DATA.train_y)
    assert str(caught.value) == f"{package} is missing: install `flwr-digest[sim]`"
