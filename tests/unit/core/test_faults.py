"""What counts as a fault, and the line that sums faults up."""

from __future__ import annotations

from dataclasses import fields

from flwr_digest.core.faults import FAULTS, Silence, faults_in, is_calm, summed_up
from flwr_digest.core.ids import StreamId
from flwr_digest.core.state import Counters
from flwr_digest.overlay.report import SessionReport


def test_every_fault_is_counted_somewhere() -> None:
    report = SessionReport(
        ending="", traffic={}, counters={StreamId(0): Counters()}, unreached={},
        unshared_steps=0, corrections_off=0, seconds=0.0,
    )  # fmt: skip
    assert FAULTS.keys() - {"lost_replies"} <= report.totals().keys()  # which the broker counts
    assert {each.name for each in fields(Counters)} & FAULTS.keys()


def test_only_faults_that_were_seen_are_named() -> None:
    totals = {"visits": 7, "reissues": 1, "resends": 0}
    assert faults_in(totals) == {"reissues": 1}
    line = summed_up(totals, Silence())
    assert line == (
        "faults: streams re-issued 1; steps forfeited: 0; longest silence of a stream 0.0 s"
    )


def test_a_calm_session_says_so() -> None:
    line = summed_up({"visits": 7}, Silence(seconds=0.44, tours=1.26), "node 3")
    assert line == "no faults; longest silence of a stream 0.4 s (1.3 tours) at node 3"


def test_the_longer_silence_keeps_the_most_tours() -> None:
    one = Silence(seconds=5.0, tours=1.0, stream=StreamId(1))
    other = Silence(seconds=2.0, tours=4.0, stream=StreamId(2))
    for longer in (one.longer(other), other.longer(one)):
        assert longer == Silence(seconds=5.0, tours=4.0, stream=StreamId(1))


def test_steps_that_were_given_up_are_no_calm_session() -> None:
    assert is_calm({"visits": 7, "forfeited_steps": 0})
    assert not is_calm({"forfeited_steps": 20})
    assert not is_calm({"resends": 1})
