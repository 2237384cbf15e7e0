"""Vectors that are computed later come to what NumPy gives, in whatever order they get known."""

from __future__ import annotations

import weakref
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.core.rounding import rounded
from flwr_digest.core.vector import Vector
from flwr_digest.errors import LocalProtocolError
from flwr_digest.learning.arrays import Floats
from flwr_digest.sim.digest.later import Later, Waiter

LEAVES = 4


class Told(Waiter):
    """Counts how often it was told that all is known."""

    def __init__(self) -> None:
        self.missing = 0
        self.times = 0

    def all_known(self) -> Later | None:
        self.times += 1
        return None


def values(seed: int = 0) -> list[Floats]:
    draws = np.random.default_rng(seed)
    return list(draws.standard_normal((LEAVES, 3)).astype(np.float32))


@given(
    operations=st.lists(
        st.tuples(st.sampled_from("+-*~"), st.integers(0, 20), st.integers(0, 20)), max_size=20
    ),
    order=st.permutations(range(LEAVES)),
    known_before=st.integers(0, LEAVES),
)
def test_any_formula_gives_what_numpy_gives(
    operations: list[tuple[str, int, int]], order: list[int], known_before: int
) -> None:
    eager, later = values(), [Later((3,)) for _ in range(LEAVES)]
    for leaf in order[:known_before]:
        later[leaf].become(eager[leaf])
    for sign, first, second in operations:
        one, other = first % len(later), second % len(later)
        if sign == "+":
            eager.append(eager[one] + eager[other])
            later.append(later[one] + later[other])
        elif sign == "-":
            eager.append(eager[one] - eager[other])
            later.append(later[one] - later[other])
        elif sign == "~":
            eager.append(rounded(eager[one]))
            later.append(cast(Later, rounded(cast(Vector, later[one]))))
        else:
            eager.append(0.3 * eager[one])
            later.append(0.3 * later[one])
    for leaf in order[known_before:]:
        later[leaf].become(eager[leaf])
    for vector, value in zip(later, eager, strict=True):
        assert vector.shape == (3,)
        assert vector.known().dtype == np.float32
        assert vector.known().tobytes() == value.tobytes()


def test_nothing_is_computed_before_all_is_known() -> None:
    one, other = Later((3,)), Later((3,))
    total = one + other
    one.become(values()[0])
    assert total.value is None
    with pytest.raises(LocalProtocolError, match="before it was computed"):
        total.known()


def test_a_long_chain_needs_no_recursion() -> None:
    first = last = Later((1,))
    one = Later((1,), np.ones(1, dtype=np.float32))
    for _ in range(20_000):
        last = last + one
    first.become(np.zeros(1, dtype=np.float32))
    assert last.known().tolist() == [20_000]


def test_what_nobody_can_ask_for_is_freed() -> None:
    one, two = Later((3,)), Later((3,))
    total = one + two
    value = values()[0]
    freed = weakref.ref(value)
    one.become(value)
    two.become(values()[1])
    result = 2.0 * (total - two)
    del one, value, total
    assert freed() is None
    assert result.known().shape == (3,)


def test_a_waiter_is_told_once_when_the_last_is_known() -> None:
    one, other, told = Later((3,)), Later((3,)), Told()
    one.tell(told)
    other.tell(told)
    one.become(values()[0])
    assert told.times == 0
    other.become(values()[1])
    one.tell(told)
    assert (told.times, told.missing) == (1, 0)
