"""Faults in the log: what, where and what was done; once when one begins, once when it is over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flwr_digest.core.effects import Notice, NoticeKind
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.overlay.faults import QUIET_SECONDS, FaultLog, words
from tests.support.overlay_session import captured_log

ME, PEER, OTHER = map(NodeId, (3, 5, 7))
STREAM = StreamId(1)


@pytest.fixture
def log() -> Iterator[list[str]]:
    with captured_log() as lines:
        yield lines


def resent(seconds: float = 0.8, stream: StreamId = STREAM) -> Notice:
    return Notice(kind=NoticeKind.RESENT, stream_id=stream, peer=PEER, seconds=seconds)


LINES = {
    "stream 1: no receipt from node 5 in 0.8 s, sent again": resent(),
    "stream 1: no receipt from node 5 in 0.8 s, sent to node 7 instead": Notice(
        kind=NoticeKind.REROUTED, stream_id=STREAM, peer=OTHER, instead_of=PEER, seconds=0.8
    ),
    "stream 1: not seen for 4.1 s (3.0 tours), re-issued from the copy of hop 812 here": Notice(
        kind=NoticeKind.REISSUED, stream_id=STREAM, seconds=4.1, tours=3.0, hop=812
    ),
    "stream 1: not seen for 30.0 s, re-issued from the copy of hop 0 here": Notice(
        kind=NoticeKind.REISSUED, stream_id=STREAM, seconds=30.0
    ),
    "stream 1: a copy came that is older than what this node remembers: "
    "6 local steps given up rather than counted twice": Notice(
        kind=NoticeKind.FORFEITED, stream_id=STREAM, steps=6
    ),
    "stream 1: a copy came that is older than what this gateway remembers: "
    "its own takes its place": Notice(kind=NoticeKind.REPLACED, stream_id=STREAM),
    "stream 1: gateways replace each other's copies in turn: only relayed from now on": Notice(
        kind=NoticeKind.HISTORY_LOST, stream_id=STREAM
    ),
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_says_what_where_and_what_was_done(line: str, log: list[str]) -> None:
    FaultLog(ME).tell(*words(LINES[line]), 0.0)
    assert log == [f"node 3, {line}"]


def test_there_are_words_for_each_kind_of_notice() -> None:
    assert {notice.kind for notice in LINES.values()} == set(NoticeKind)


def test_a_dead_neighbor_is_one_fault_whichever_the_stream(log: list[str]) -> None:
    faults = FaultLog(ME)
    for number in range(100):
        faults.tell(*words(resent(stream=StreamId(number % 4))), 0.5 * number)
    assert len(log) == 1
    faults.calm(50.0 + QUIET_SECONDS)
    faults.calm(1e6)
    assert log[1:] == ["node 3: no receipt from node 5: 99 times more in 49.5 s"]


def test_what_happened_once_needs_no_second_line(log: list[str]) -> None:
    faults = FaultLog(ME)
    faults.tell("a fault", ": a fault", 0.0)
    faults.calm(1e6)
    faults.end()
    assert log == ["node 3: a fault"]


def test_after_it_was_over_a_fault_begins_anew(log: list[str]) -> None:
    faults = FaultLog(ME)
    for now in (0.0, 1.0, 100.0):
        faults.tell("a fault", ": a fault", now)
    assert log == ["node 3: a fault", "node 3: a fault: once more in 1.0 s", "node 3: a fault"]


def test_who_asks_ever_more_seldom_is_not_over_between_two_questions(log: list[str]) -> None:
    faults = FaultLog(ME)
    for doubled in range(12):
        faults.tell("a fault", ": a fault", 2.0**doubled)
    assert len(log) == 1
    faults.end()
    assert log[1:] == ["node 3: a fault: 11 times more in 2047.0 s"]


def test_different_faults_have_lines_of_their_own(log: list[str]) -> None:
    faults = FaultLog(ME)
    for name in ("one", "two", "one"):
        faults.tell(name, f": {name}", 0.0)
    faults.end()
    assert log == ["node 3: one", "node 3: two", "node 3: one: once more in 0.0 s"]
