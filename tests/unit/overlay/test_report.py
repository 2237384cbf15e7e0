"""The report of a session: sums of counts, and the longest of silences."""

from __future__ import annotations

from typing import Any

from flwr_digest.core.faults import Silence
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.state import Counters
from flwr_digest.overlay.report import SessionReport
from flwr_digest.overlay.traffic import Traffic

ONE, TWO = StreamId(0), StreamId(1)


def report(*counters: Counters, **fields: Any) -> SessionReport:  # noqa: ANN401
    given: dict[str, Any] = {
        "ending": "the session closed", "traffic": {}, "unreached": {}, "unshared_steps": 0,
        "corrections_off": 0, "seconds": 1.0,
        "counters": {StreamId(number): each for number, each in enumerate(counters)},
    }  # fmt: skip
    return SessionReport(**{**given, **fields})


def test_counts_are_summed_and_times_are_not() -> None:
    one = Counters(visits=2, resends=1, longest_silence_seconds=3.0, longest_silence_tours=2.0)
    found = report(
        one, Counters(visits=3), traffic={NodeId(4): Traffic(frames_sent=9)}, links_lost=2
    )
    totals = found.totals()
    assert (totals["visits"], totals["resends"], totals["links_lost"]) == (5, 1, 2)
    assert totals["frames_sent"] == 9
    assert not any("silence" in name or "seconds" in name for name in totals)


def test_neighbors_that_were_never_linked_are_counted() -> None:
    assert report(unreached={NodeId(3): "no answer"}).totals()["links_missing"] == 1


def test_the_longest_silence_of_any_stream_and_the_most_tours() -> None:
    one = Counters(longest_silence_seconds=3.0, longest_silence_tours=1.5)
    two = Counters(longest_silence_seconds=4.0, longest_silence_tours=1.0)
    assert report(one, two).silence == Silence(seconds=4.0, tours=1.5, stream=TWO)
    assert report().silence == Silence()


def test_a_silence_that_has_not_ended_counts_too() -> None:
    found = report(Counters(longest_silence_seconds=3.0), away_seconds={ONE: 7.0})
    assert found.silence == Silence(seconds=7.0, stream=ONE)


def test_it_sums_up_in_one_line() -> None:
    one = Counters(reissues=1, forfeited_steps=4, longest_silence_seconds=2.0)
    assert report(one, failed_saves=3).summary() == (
        "faults: streams re-issued 1, saves that failed 3; steps forfeited: 4; "
        "longest silence of a stream 2.0 s"
    )
