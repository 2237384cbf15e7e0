"""Rounded vectors are near, take a quarter of the bytes, and stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.core.account import Account, contribute, deposit, open_account, settle
from flwr_digest.core.rounding import (
    BLOCK_VALUES,
    MOST,
    cargo_bytes,
    join,
    rounded,
    rounded_bytes,
    split,
)
from flwr_digest.core.stream import Stream
from flwr_digest.core.vector import Vector
from tests.unit.core.builders import LIFE, A, B, cargo, stream, vector

SMALLEST = 2.0**-126
values = st.floats(width=32, allow_nan=False, allow_infinity=False)
vectors = st.lists(values, max_size=3 * BLOCK_VALUES).map(lambda v: np.array(v, dtype=np.float32))


def blocks(vector: Vector) -> list[Vector]:
    return [vector[at : at + BLOCK_VALUES] for at in range(0, vector.size, BLOCK_VALUES)]


# --- one vector ---------------------------------------------------------------------------------


@given(vectors)
def test_no_value_is_farther_off_than_half_a_step_of_its_block(whole: Vector) -> None:
    for exact, near in zip(blocks(whole), blocks(rounded(whole)), strict=True):
        largest = float(np.abs(exact).max())
        # A step is a 64th of the largest at most; 127 and a half of them become 127.
        assert np.abs(exact.astype(np.float64) - near).max() <= max(largest / MOST, SMALLEST)


@given(vectors)
def test_what_was_rounded_stays_as_it_is(whole: Vector) -> None:
    once = rounded(whole)
    assert rounded(once).tobytes() == once.tobytes()
    assert join(split(once), once.size).tobytes() == once.tobytes()


@given(vectors)
def test_a_rounded_vector_is_finite_and_float32(whole: Vector) -> None:
    near = rounded(whole)
    assert near.dtype == np.float32
    assert np.isfinite(near).all()


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 65_535, 65_536, 65_537, 200_001])
def test_each_value_takes_a_byte_and_each_block_one(size: int) -> None:
    whole = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    packed = split(whole)
    assert packed.nbytes == rounded_bytes(size) == size + -(-size // 32)
    assert np.abs(join(packed, size) - whole).max(initial=0.0) < 0.05
    assert cargo_bytes(size, rates=True) == 4 * size + packed.nbytes
    assert cargo_bytes(size, rates=False) == 4 * size


def test_small_whole_numbers_are_exact() -> None:
    whole = np.arange(-64, 64, dtype=np.float32)
    assert rounded(whole).tolist() == whole.tolist()


def test_blocks_of_other_sizes_of_numbers_do_not_touch_each_other() -> None:
    whole = np.repeat(vector(1e-20, 1.0, 1e20), BLOCK_VALUES)
    assert rounded(whole) == pytest.approx(whole, rel=1 / MOST)


@pytest.mark.parametrize("exponent", [-128, -127, 122, 127])
def test_an_exponent_that_no_sender_gives_is_refused(exponent: int) -> None:
    packed = split(np.ones(2 * BLOCK_VALUES, dtype=np.float32))
    packed[1] = exponent
    with pytest.raises(ValueError, match="exponents from "):
        join(packed, 2 * BLOCK_VALUES)


def test_a_number_that_no_sender_gives_is_refused() -> None:
    packed = split(np.ones(5, dtype=np.float32))
    packed[-1] = -128
    with pytest.raises(ValueError, match="a number below -127"):
        join(packed, 5)


def test_what_is_no_vector_cannot_be_rounded() -> None:
    with pytest.raises(TypeError, match="no vector that can be rounded: list"):
        rounded([1.0])  # type: ignore[arg-type]


# --- under the accounting rule ------------------------------------------------------------------


def visited(account: Account, copy: Stream) -> tuple[Account, Stream]:
    settlement = settle(account, copy, A, [A, B])
    return settlement.account, settlement.stream


def rate_of(copy: Stream) -> float:
    assert copy.rate is not None
    return float(copy.rate.item())


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=30))
def test_what_rounding_takes_off_goes_with_the_next_visit(changes: list[float]) -> None:
    account, copy = open_account(cargo(0, rate=0), LIFE), stream(rate=vector(0))
    total = np.float32(0)
    for change in changes:
        total += np.float32(change)
        account = contribute(account, cargo(1, rate=change), steps=1)
        account, copy = visited(account, copy)
        # However many visits: never more than one rounding away.
        assert abs(rate_of(copy) - total) <= abs(total) / MOST + 1e-3


def test_an_older_copy_gets_what_it_lacks_and_no_more() -> None:
    account, first = open_account(cargo(0, rate=0), LIFE), stream(rate=vector(0))
    account = contribute(account, cargo(1, rate=100.3), steps=1)
    account, old = visited(account, first)
    account = contribute(account, cargo(1, rate=-100), steps=1)
    account, new = visited(account, old)
    assert rate_of(new) == pytest.approx(0.3, rel=1 / MOST)

    account, again = visited(contribute(account, cargo(1, rate=0), steps=1), old)

    assert rate_of(again) == pytest.approx(0.3, rel=1 / MOST)


def test_a_visit_without_news_leaves_the_rest_for_later() -> None:
    account = contribute(open_account(cargo(0, rate=0), LIFE), cargo(1, rate=100.3), steps=1)
    account, copy = visited(account, stream(rate=vector(0)))
    assert rate_of(copy) == 100
    account, copy = visited(account, copy)
    assert rate_of(copy) == 100
    account, copy = visited(contribute(account, cargo(1, rate=0.3), steps=1), copy)
    assert rate_of(copy) == 101  # 100.6 rounded; with the second 0.3 alone it were 100


def test_what_rounding_takes_off_is_no_news_to_other_regions() -> None:
    account = contribute(open_account(cargo(0, rate=0), LIFE), cargo(1, rate=100.3), steps=1)
    account, copy = visited(account, stream(rate=vector(0)))
    account, change = deposit(account, copy)
    assert change is not None
    assert change.rate is not None
    assert change.rate == pytest.approx(0, abs=1e-5)
    account, copy = visited(contribute(account, cargo(1, rate=0.3), steps=1), copy)
    account, change = deposit(account, copy)
    assert change is not None
    assert change.rate == pytest.approx(0, abs=1e-5)
