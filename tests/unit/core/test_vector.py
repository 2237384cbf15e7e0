"""What tells whether a vector may travel."""

import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from flwr_digest.core.vector import Vector, all_finite

LARGEST = np.finfo(np.float32).max


@given(
    arrays.arrays(
        dtype=np.float32,
        shape=arrays.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=40),
        elements=st.floats(width=32),
    )
)
def test_tells_what_a_look_at_each_value_tells(vector: Vector) -> None:
    assert all_finite(vector) == np.isfinite(vector).all()


@pytest.mark.parametrize("sick", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1, 4_999, 10_001])
def test_one_value_is_enough(sick: float, place: int) -> None:
    vector = np.zeros(10_002, dtype=np.float32)
    assert all_finite(vector)
    vector[place] = sick
    assert not all_finite(vector)


def test_infinities_of_both_signs_do_not_cancel() -> None:
    assert not all_finite(np.array([np.inf, 1.0, -np.inf], dtype=np.float32))


def test_values_whose_sum_would_overflow_are_finite() -> None:
    assert all_finite(np.full(1_000, LARGEST))
    assert all_finite(np.array([LARGEST, -LARGEST], dtype=np.float32))


def test_takes_no_memory_of_the_vectors_size() -> None:
    vector = np.ones(1 << 20, dtype=np.float32)
    all_finite(vector)  # whatever is made once is not measured
    tracemalloc.start()
    try:
        all_finite(vector)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4096 < sys.getsizeof(vector.astype(bool))
