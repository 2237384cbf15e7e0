"""Many models are evaluated some at a time."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.learning.arrays import Doubles, Floats
from flwr_digest.learning.chunks import in_chunks, penalties


def first_and_last(models: Floats) -> tuple[Doubles, Doubles]:
    return models[:, 0].astype(np.float64), models[:, -1].astype(np.float64)


@pytest.mark.parametrize("each", [1, 2**17, 2**18, 2**19, 2**30])
def test_answers_come_in_the_order_of_the_models(each: int) -> None:
    models = np.arange(14.0).reshape(7, 2)
    first, last = in_chunks(first_and_last, models, each)
    assert first.tolist() == models[:, 0].tolist()
    assert last.tolist() == models[:, 1].tolist()


def test_what_is_large_is_evaluated_one_by_one() -> None:
    sizes: list[int] = []

    def noted(models: Floats) -> tuple[Doubles, Doubles]:
        sizes.append(len(models))
        return first_and_last(models)

    in_chunks(noted, np.zeros((5, 2)), 2**18)
    in_chunks(noted, np.zeros((2, 2)), 2**30)
    assert sizes == [2, 2, 1, 1, 1]


def test_a_penalty_is_half_the_regularization_times_the_squared_length() -> None:
    models = np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)
    found = penalties(models, 0.1)
    assert found == pytest.approx([1.25, 0])
    assert found.dtype == np.float64
