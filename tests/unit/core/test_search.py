"""The search for a lost stream: whom to ask, and what the answers decide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flwr_digest.core.decision import Decision, Then, wait
from flwr_digest.core.effects import AwaitSteps, Send, SetTimer
from flwr_digest.core.events import TimerKind
from flwr_digest.core.ids import NO_FENCE, Fence, NodeId, Order
from flwr_digest.core.messages import Close, Inquiry, Sighting
from flwr_digest.core.search import Search
from tests.unit.core.builders import (
    STREAM,
    B,
    C,
    end_training,
    hop,
    of_kind,
    shard_of,
    station,
    steps,
)

ALL = frozenset({B, C})
NOBODY: frozenset[NodeId] = frozenset()
NEVER = Order(NO_FENCE, 0)
AWAIT, REISSUE = Decision(then=Then.AWAIT), Decision(then=Then.REISSUE)


def search(hops: int = 0, **fields: Any) -> Search:  # noqa: ANN401
    """Return A's search for a stream that has come so far."""
    made = station(**fields)
    made.copy.stream = replace(made.kept, hop=hops)
    return made.search


def sighting(newest: Order) -> Sighting:
    return Sighting(stream_id=STREAM, newest=newest)


def test_all_neighbors_are_asked_and_their_answers_awaited() -> None:
    decision = search(first_receipt_seconds=2.0).late(ALL, 10.0)
    inquiry = Inquiry(stream_id=STREAM)
    assert of_kind(Send, decision.effects) == [Send(peer=p, message=inquiry) for p in (B, C)]
    (timer,) = of_kind(SetTimer, decision.effects)
    assert (timer.timer.kind, timer.at) == (TimerKind.ANSWERS, 12.0)


def test_with_nobody_to_ask_it_waits_while_there_is_something_left_to_do() -> None:
    made = search()
    assert made.late(NOBODY, 10.0) == AWAIT
    assert made.visits.shard is not None
    made.visits.shard.trained = True
    assert made.late(NOBODY, 10.0) == Decision(then=Then.GIVE_UP)


def test_who_is_no_member_does_not_search() -> None:
    made = search()
    made.visits.shard = None
    assert made.late(ALL, 10.0) == wait()


def test_the_pace_explains_the_first_tour_alone() -> None:
    made = search(local_steps=3)
    steps = AwaitSteps(stream_id=STREAM, more_steps=3)  # else nobody would hand them in
    assert made.late(ALL, 10.0) == Decision(then=Then.AWAIT, effects=(steps,))
    made.left(11.0)
    assert made.late(ALL, 50.0).then is Then.WAIT


def test_the_pace_explains_nothing_once_it_is_kept() -> None:
    made = station(local_steps=3)
    shard_of(made).take_in(steps(3))
    assert made.search.late(ALL, 10.0).then is Then.WAIT


@pytest.mark.parametrize(
    ("hops", "answers", "decision"),
    [
        (4, {}, AWAIT),  # silence proves nothing
        (4, {B: NEVER}, REISSUE),
        (4, {B: NEVER, C: Order(Fence(5, C), 1)}, AWAIT),
        (0, {B: NEVER}, AWAIT),  # who was never visited must have heard from all
        (0, {B: NEVER, C: NEVER}, REISSUE),
    ],
)
def test_the_answers_decide(hops: int, answers: dict[NodeId, Order], decision: Decision) -> None:
    made = search(hops)
    for peer, newest in answers.items():
        made.answered(peer, sighting(newest))
    assert made.answers_are_in(ALL) == decision


def test_answers_to_an_earlier_question_are_forgotten() -> None:
    made = search(4)
    made.answered(B, sighting(NEVER))
    made.late(ALL, 10.0)
    assert made.answers_are_in(ALL) == AWAIT


def test_an_answer_tells_of_its_fence() -> None:
    made = search(4)
    made.answered(B, sighting(Order(Fence(8, C), 2)))
    assert made.copy.highest == Fence(8, C)


def test_each_search_makes_the_next_wait_longer_until_the_stream_comes_back() -> None:
    made = search(4, first_lost_seconds=10.0)
    made.left(0.0)
    made.answers_are_in(ALL)
    assert made.wait(0.0).at == 20.0
    made.came_back(2.0)
    assert made.delays.tour.smoothed_seconds == 2.0
    assert made.delays.tour.backoff == 1


def test_where_there_is_reason_to_believe_that_it_is_lost_it_is_soon_asked_for() -> None:
    assert search(first_receipt_seconds=2.0).wait_less(1.0).at == 3.0


def test_a_stream_that_only_passes_tells_nothing_of_its_tours() -> None:
    made = search()
    made.left(0.0)
    made.answers_are_in(ALL)
    made.came_back(1.0, again=True)
    assert made.delays.tour.smoothed_seconds is None
    assert made.delays.tour.backoff == 2
    made.left(1.5)
    made.came_back(9.0)
    assert made.delays.tour.smoothed_seconds == 9.0


# --- silence ------------------------------------------------------------------------------------


def test_the_longest_silence_is_from_leaving_to_coming() -> None:
    made = search()
    for left, came in ((10.0, 12.0), (20.0, 25.0), (30.0, 31.0)):
        made.left(left)
        made.wait(left)
        assert made.away_seconds(came) == came - left
        made.came_back(came)
        assert made.away_seconds(came) == 0.0
    assert made.counters.longest_silence_seconds == 5.0
    assert made.counters.longest_silence_tours == 2.5  # of 2 s, as measured until then


def test_before_the_first_visit_it_is_from_the_start_of_the_session() -> None:
    made = search()
    made.wait(3.0)
    made.came_back(7.0)
    assert made.counters.longest_silence_seconds == 4.0
    assert made.counters.longest_silence_tours == 0.0


def test_who_is_no_member_misses_nothing() -> None:
    made = search()
    made.visits.shard = None
    made.left(1.0)
    made.came_back(9.0)
    assert made.counters.longest_silence_seconds == 0.0


@pytest.mark.parametrize("gives_up", [False, True])
def test_a_silence_that_lasts_to_the_end_is_told(gives_up: bool) -> None:
    made = station(start=B)
    made.start(ALL, 0.0)
    end_training(made, ALL, 1.0)
    if gives_up:
        made.timer_fired(TimerKind.LOST, NOBODY, 500.0)
    else:
        made.receive(B, Close(stream_id=STREAM, order=hop(5, 9).stream.order), ALL, 500.0)
    assert made.closed
    assert made.counters.longest_silence_seconds == 500.0
