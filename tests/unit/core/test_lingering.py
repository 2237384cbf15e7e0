"""A stream lingers longer and longer while nothing comes, and briefly again once something has."""

from __future__ import annotations

from flwr_digest.core.lingering import Lingering
from flwr_digest.core.patience import MOST_BACKOFF
from flwr_digest.core.stream import Stream
from tests.unit.core.builders import B, stream

WAIT_SECONDS = 2.0


def lingers(made: Lingering, copy: Stream, now: float) -> float:
    """Let a copy come, linger and leave; return for how long it lingers."""
    made.renew()
    until = made.until(copy, now, WAIT_SECONDS)
    assert until is not None
    assert made.until(copy, now, WAIT_SECONDS) == until  # asked twice, it is no longer
    assert made.until(copy, until, WAIT_SECONDS) is None
    return until - now


def test_each_tour_without_news_makes_the_next_wait_twice_as_long() -> None:
    made = Lingering()
    waits = [lingers(made, stream(hop=4 * tour), 100.0 * tour) for tour in range(4)]
    assert waits == [2, 4, 8, 16]


def test_no_wait_is_longer_than_all_before_it_and_the_first() -> None:
    made, waited = Lingering(), 0.0
    for _ in range(5):
        wait = lingers(made, stream(), 0.0)
        assert wait <= waited + WAIT_SECONDS
        waited += wait


def test_there_is_a_longest_wait() -> None:
    made = Lingering()
    assert max(lingers(made, stream(), 0.0) for _ in range(20)) == MOST_BACKOFF * WAIT_SECONDS


def test_what_the_stream_has_learned_elsewhere_makes_the_waits_short_again() -> None:
    made = Lingering()
    copies = [stream(), stream(), stream(changes=1), stream(changes=1)]
    assert [lingers(made, copy, 0.0) for copy in copies] == [2, 4, 2, 4]


def test_so_does_the_end_of_a_members_training() -> None:
    made = Lingering()
    copies = [stream(), stream(), stream(finished=frozenset({B}))]
    assert [lingers(made, copy, 0.0) for copy in copies] == [2, 4, 2]


def test_news_end_the_wait_at_once() -> None:
    made = Lingering()
    made.until(stream(), 1.0, WAIT_SECONDS)
    made.end(1.5)
    assert made.until(stream(), 1.5, WAIT_SECONDS) is None
