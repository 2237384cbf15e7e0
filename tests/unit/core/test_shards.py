"""Slices of the flat vector: contiguous, all of it, as equal as can be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.core.shards import shard_slices
from flwr_digest.errors import ConfigError


def test_the_first_slices_take_what_does_not_divide() -> None:
    assert shard_slices(10, 4) == (slice(0, 3), slice(3, 6), slice(6, 8), slice(8, 10))


def test_one_shard_is_the_whole_vector() -> None:
    assert shard_slices(7, 1) == (slice(0, 7),)


def test_there_may_be_a_shard_for_each_value() -> None:
    assert shard_slices(3, 3) == (slice(0, 1), slice(1, 2), slice(2, 3))


@given(st.data())
def test_slices_cover_the_vector_once_and_differ_by_one_at_most(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 300))
    slices = shard_slices(size, data.draw(st.integers(1, size)))
    assert [k for part in slices for k in range(part.start, part.stop)] == list(range(size))
    sizes = [part.stop - part.start for part in slices]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1


@pytest.mark.parametrize("shards", [0, -1, 11])
def test_other_numbers_are_refused(shards: int) -> None:
    with pytest.raises(ConfigError) as caught:
        shard_slices(10, shards)
    assert str(caught.value) == (
        f"shards is {shards}: 1 to 10 are possible, the model has 10 values"
    )
