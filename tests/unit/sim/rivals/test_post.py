"""Links that lose nothing for good, and know what was sent by when."""

from __future__ import annotations

import pytest

from flwr_digest.sim.rivals.post import Post
from tests.unit.sim.rivals.builders import FAULTY, STEADY, small


def test_a_message_counts_from_when_it_is_sent() -> None:
    post = Post(small(STEADY).network())
    assert post.bytes_by(0.0) == 0
    post.send(0, 1, 100, 5.0)
    post.send(1, 2, 10, 3.0)
    assert [post.bytes_by(time) for time in (2.9, 3.0, 4.9, 5.0, 9.0)] == [0, 10, 10, 110, 110]


def test_a_message_takes_its_size_by_the_bandwidth_and_the_latency() -> None:
    problem = small(STEADY)
    post = Post(problem.network())
    assert post.send(0, 1, problem.model_bytes, 5.0) == 7.5
    assert post.send(0, 1, 2 * problem.model_bytes, 5.0) == 11.5
    assert post.send(1, 0, problem.model_bytes, 5.0) == 7.5


def test_repeats_of_lost_messages_count() -> None:
    network = small(FAULTY).network()
    post = Post(network)
    for message in range(50):
        post.send(0, 1, 100, 100.0 * message)
    assert post.bytes_by(1e6) == network.bytes_sent == 100 * network.messages_sent
    assert network.messages_sent > 50


@pytest.mark.parametrize(("at", "up"), [(9.0, True), (12.0, False), (15.0, True)])
def test_it_knows_which_links_are_down(at: float, up: bool) -> None:
    assert Post(small(FAULTY).network()).is_up(1, 2, at) is up
