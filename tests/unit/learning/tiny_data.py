"""Data small enough to check by hand."""

from __future__ import annotations

import numpy as np

from flwr_digest.learning.arrays import Integers
from flwr_digest.learning.datasets import Dataset


def tiny_dataset(samples: int = 40, features: int = 4, classes: int = 3, seed: int = 0) -> Dataset:
    """Return noise with labels that depend on it; the last feature is 1."""
    draws = np.random.default_rng(seed)
    x = draws.standard_normal((samples, features)).astype(np.float32)
    x[:, -1] = 1
    y: Integers = (x @ draws.standard_normal((features, classes))).argmax(axis=1)
    return Dataset(name="tiny", train_x=x, train_y=y, test_x=x, test_y=y, classes=classes)


def numbered_dataset(samples: int) -> Dataset:
    """Return samples whose label is their own number."""
    x = np.arange(samples, dtype=np.float32)[:, np.newaxis]
    y = np.arange(samples, dtype=np.int64)
    return Dataset(name="numbered", train_x=x, train_y=y, test_x=x, test_y=y, classes=samples)
