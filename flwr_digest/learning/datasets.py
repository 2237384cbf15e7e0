"""Data sets that come without a download, split into what is learned from and what is tested on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flwr_digest.errors import ConfigError
from flwr_digest.learning.arrays import Integers
from flwr_digest.learning.checks import check_name
from flwr_digest.learning.seeds import Purpose, generator

_DIGITS_TRAIN = 1500
"""Of the 1,797 digits; the other 297 are the test set. As the project's measurements were made."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Dataset:
    """Samples and labels.

    The last feature is the constant 1, so that a model's first layer has its bias among its
    weights and all of a step is one matrix product.

    Attributes
    ----------
    name : str
        One of `DATASETS`.
    train_x : numpy.ndarray
        Shape ``[m, f]``, float32, C-contiguous; the last column is 1.
    train_y : numpy.ndarray
        Shape ``[m]``, int64, from 0 to ``classes - 1``.
    test_x, test_y : numpy.ndarray
        The same for the test set.
    classes : int
        How many different labels there are.
    """

    name: str
    train_x: npt.NDArray[np.float32]
    train_y: Integers
    test_x: npt.NDArray[np.float32]
    test_y: Integers
    classes: int

    @property
    def features(self) -> int:
        """How many features a sample has, the constant 1 included."""
        return int(self.train_x.shape[1])


def _digits(seed: int) -> Dataset:
    """Return scikit-learn's handwritten digits: 64 pixels from 0 to 1, and the constant."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ConfigError(
            "the digits come with scikit-learn, which is missing: install `flwr-digest[sim]`"
        ) from error
    pixels, labels = load_digits(return_X_y=True)
    order = generator(seed, Purpose.SPLIT).permutation(len(labels))
    x = np.ones((len(labels), pixels.shape[1] + 1), dtype=np.float32)
    x[:, :-1] = pixels[order] / 16.0
    y = labels[order].astype(np.int64)
    return Dataset(
        name="digits",
        train_x=x[:_DIGITS_TRAIN],
        train_y=y[:_DIGITS_TRAIN],
        test_x=x[_DIGITS_TRAIN:],
        test_y=y[_DIGITS_TRAIN:],
        classes=10,
    )


DATASETS: Mapping[str, Callable[[int], Dataset]] = {"digits": _digits}


def load_dataset(name: str, seed: int) -> Dataset:
    """Return a data set; the seed decides which samples are the test set, and their order.

    Parameters
    ----------
    name : str
        One of `DATASETS`.
    seed : int
        0 or more.

    Raises
    ------
    ConfigError
        Unknown name, a negative seed, or the package that the data come with is missing.
    """
    check_name("dataset", name, DATASETS)
    return DATASETS[name](seed)
