"""Data sets: complete, split by the seed, with the constant that serves as bias."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.learning.datasets import load_dataset


def test_the_digits_are_split_in_1500_and_297() -> None:
    digits = load_dataset("digits", 1)
    assert digits.train_x.shape == (1500, 65)
    assert digits.test_x.shape == (297, 65)
    assert digits.train_y.shape == (1500,)
    assert digits.test_y.shape == (297,)
    assert (digits.features, digits.classes) == (65, 10)
    assert set(digits.train_y.tolist()) == set(range(10))


def test_the_digits_are_float32_from_0_to_1_and_end_in_1() -> None:
    digits = load_dataset("digits", 1)
    for x in (digits.train_x, digits.test_x):
        assert x.dtype == np.float32
        assert x.flags.c_contiguous
        assert x.min() == 0
        assert x.max() == 1
        assert (x[:, -1] == 1).all()
    assert digits.train_y.dtype == digits.test_y.dtype == np.int64


def test_every_digit_is_in_one_of_the_two_sets_once() -> None:
    def all_rows(seed: int) -> list[bytes]:
        digits = load_dataset("digits", seed)
        x, y = np.vstack([digits.train_x, digits.test_x]), [*digits.train_y, *digits.test_y]
        return sorted(row.tobytes() + bytes([label]) for row, label in zip(x, y, strict=True))

    assert all_rows(1) == all_rows(2)


def test_the_seed_decides_the_split() -> None:
    one, same, other = (load_dataset("digits", seed).test_x for seed in (1, 1, 2))
    assert one.tobytes() == same.tobytes()
    assert one.tobytes() != other.tobytes()


def test_an_unknown_data_set_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        load_dataset("digit", 1)
    assert str(caught.value) == (
        "dataset='digit' is unknown: choose from ['digits']; did you mean 'digits'?"
    )


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ConfigError) as caught:
        load_dataset("digits", 1)
    assert str(caught.value) == (
        "the digits come with scikit-learn, which is missing: install `flwr-digest[sim]`"
    )
