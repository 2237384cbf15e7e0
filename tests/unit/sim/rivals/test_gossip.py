"""Exchanges with all neighbors."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.sim.rivals.gossip import Gossip
from flwr_digest.sim.rivals.post import Post
from tests.unit.sim.rivals.builders import STEADY, small

PROBLEM = small(STEADY)  # a ring; 2.5 s for a model over a link
STARTS = np.zeros(6)
ENDS = np.array([1.0, 1.0, 9.0, 1.0, 1.0, 2.0])


def gossip(vectors: int = 1, *, overlaps: bool = False) -> Gossip:
    size = vectors * PROBLEM.model_bytes
    return Gossip(Post(PROBLEM.network()), PROBLEM.neighbors, size, overlaps=overlaps)


def test_a_node_waits_for_its_neighbors_only() -> None:
    assert gossip()(STARTS, ENDS).tolist() == [4.5, 11.5, 9.0, 11.5, 4.5, 3.5]


def test_messages_that_leave_at_the_start_are_under_way_during_the_steps() -> None:
    following = gossip(overlaps=True)(STARTS, ENDS)
    assert following.tolist() == [2.5, 2.5, 9.0, 2.5, 2.5, 2.5]


def test_two_vectors_take_twice_the_transfer_time() -> None:
    assert gossip(vectors=2)(STARTS, np.ones(6)).tolist() == [5.5] * 6


@pytest.mark.parametrize("vectors", [1, 2])
def test_a_round_sends_one_message_over_each_link_and_direction(vectors: int) -> None:
    exchange = gossip(vectors)
    following = exchange(STARTS, ENDS)
    assert exchange.bytes_by(100.0) == 12 * vectors * PROBLEM.model_bytes
    exchange(following, following + 1)
    assert exchange.bytes_by(100.0) == 24 * vectors * PROBLEM.model_bytes


def test_messages_wait_for_those_before_them_on_the_same_link() -> None:
    exchange = gossip(overlaps=True)
    exchange(STARTS, np.ones(6))
    assert exchange(np.ones(6), np.full(6, 1.5)).tolist() == [4.5] * 6
