"""Start nodes: members, spread as evenly as can be, decided by the seed."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.errors import ConfigError
from flwr_digest.topology import build_topology, split_into_regions, start_nodes

few_members = st.lists(
    st.frozensets(st.integers(0, 4), min_size=1, max_size=3), min_size=1, max_size=6
)


def unevenness(starts: tuple[int, ...]) -> int:
    """Return the sum of the squared loads: the lower, the more even."""
    return sum(load**2 for load in Counter(starts).values())


@given(members=few_members, seed=st.integers(-9, 2**63))
def test_no_other_choice_is_more_even(members: list[frozenset[int]], seed: int) -> None:
    starts = start_nodes(members, seed)
    assert all(start in near for start, near in zip(starts, members, strict=True))
    assert unevenness(starts) == min(map(unevenness, product(*members)))


@pytest.mark.parametrize("streams", [1, 10, 25])
def test_streams_that_go_everywhere_start_everywhere(streams: int) -> None:
    loads = Counter(start_nodes([frozenset(range(10))] * streams, seed=0)).values()
    assert len(loads) == min(streams, 10)
    assert max(loads) == -(-streams // 10)


def test_the_streams_of_all_regions_start_on_different_nodes() -> None:
    topology = build_topology("small-world", range(64), 0)
    assert len(set(start_nodes(split_into_regions(topology, 63), seed=0))) == 63


def test_an_earlier_stream_makes_room() -> None:
    everywhere, first, second = frozenset({1, 2, 3}), frozenset({1}), frozenset({2})
    for seed in range(10):
        assert start_nodes([everywhere, first, second], seed) == (3, 1, 2)


def test_the_seed_decides() -> None:
    members = [frozenset(range(50))] * 3
    assert start_nodes(members, 4) == start_nodes(members, 4)
    assert len({start_nodes(members, seed) for seed in range(5)}) > 1


def test_no_streams_start_nowhere() -> None:
    assert start_nodes([], seed=0) == ()


def test_a_stream_without_members_is_refused() -> None:
    with pytest.raises(ConfigError, match="stream 1 has no members to start at"):
        start_nodes([frozenset({1}), frozenset()], seed=0)
