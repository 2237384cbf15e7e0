"""The learning task: the model, its data, and how to train and to test it."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

PIXELS, DIGITS = 64, 10
TEST_SAMPLES = 360
"""A fifth of the 1,797 digits; every node is tested on the same ones."""

Arrays = list[npt.NDArray[np.float64]]
Samples = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]


def load_data(partition_id: int, num_partitions: int) -> tuple[Samples, Samples]:
    """Return this node's training samples, and the test samples that all nodes share."""
    digits = load_digits()
    train_x, test_x, train_y, test_y = train_test_split(
        digits.data / 16.0,
        digits.target,
        test_size=TEST_SAMPLES,
        stratify=digits.target,
        random_state=1,
    )
    mine = slice(partition_id, None, num_partitions)
    return (train_x[mine], train_y[mine]), (test_x, test_y)


def make_model(epochs: int) -> LogisticRegression:
    """Return a model that goes on from the weights it is given, for so many epochs."""
    model = LogisticRegression(max_iter=epochs, warm_start=True)
    model.classes_ = np.arange(DIGITS)
    set_weights(model, [np.zeros((DIGITS, PIXELS)), np.zeros(DIGITS)])
    return model


def get_weights(model: LogisticRegression) -> Arrays:
    """Return the model's weights."""
    return [model.coef_, model.intercept_]


def set_weights(model: LogisticRegression, weights: Arrays) -> None:
    """Give the model these weights."""
    model.coef_, model.intercept_ = weights


def train(model: LogisticRegression, samples: Samples) -> float:
    """Train the model, and return its loss."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs at a time, as meant
        model.fit(*samples)
    return test(model, samples)[0]


def test(model: LogisticRegression, samples: Samples) -> tuple[float, float]:
    """Return the model's loss and accuracy."""
    pixels, labels = samples
    loss = log_loss(labels, model.predict_proba(pixels), labels=np.arange(DIGITS))
    return float(loss), float(model.score(pixels, labels))
