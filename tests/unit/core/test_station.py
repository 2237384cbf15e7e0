"""One stream at one node: the pace, departures, receipts, and what is done when it is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flwr_digest.core.effects import (
    AwaitSteps,
    CancelTimer,
    Effect,
    Notice,
    NoticeKind,
    Rebase,
    Send,
    SetTimer,
    StreamClosed,
)
from flwr_digest.core.events import TimerKind
from flwr_digest.core.ids import NO_FENCE, Fence, NodeId, Order, link
from flwr_digest.core.invariants import check_station
from flwr_digest.core.messages import Close, Hop, Inquiry, Receipt, Sighting
from flwr_digest.core.state import StationState, reopened
from flwr_digest.core.station import Station
from flwr_digest.core.stream import Tour
from flwr_digest.errors import LocalProtocolError
from tests.unit.core.builders import (
    LAST,
    LIFE,
    STREAM,
    TRIANGLE,
    A,
    B,
    C,
    account,
    end_training,
    hop,
    hop_in,
    make_steps,
    of_kind,
    state_of,
    station,
    stream,
)

ALL = frozenset({B, C})
NOBODY: frozenset[NodeId] = frozenset()
EVERYONE = frozenset(TRIANGLE)


def elsewhere(**fields: Any) -> Station:  # noqa: ANN401
    """Return A's station for a stream that starts at B, waiting for it."""
    made = station(start=B, **fields)
    made.start(ALL, 0.0)
    return made


def sent(effects: list[Effect]) -> list[tuple[NodeId, str]]:
    return [(send.peer, type(send.message).__name__) for send in of_kind(Send, effects)]


def timer_set(effects: list[Effect], kind: TimerKind) -> float:
    (at,) = [effect.at for effect in of_kind(SetTimer, effects) if effect.timer.kind is kind]
    return at


def canceled(effects: list[Effect]) -> list[TimerKind]:
    return [cancel.timer.kind for cancel in of_kind(CancelTimer, effects)]


def notices(effects: list[Effect]) -> list[NoticeKind]:
    return [notice.kind for notice in of_kind(Notice, effects)]


def receipt_for(copy: Hop, newest: Order | None = None) -> Receipt:
    order = copy.stream.order
    return Receipt(
        stream_id=STREAM, order=order, newest=newest or Order(order.fence, order.hop + 1)
    )


def sent_at(now: float, copy: Hop) -> Hop:
    """Return the copy as it is when it is sent again: only its clock has gone on."""
    return Hop(stream=replace(copy.stream, clock_seconds=now))


NEVER_VISITED = Sighting(stream_id=STREAM, newest=Order(NO_FENCE, 0))


def sighting(generation: int, hop: int, node: NodeId = B) -> Sighting:
    return Sighting(stream_id=STREAM, newest=Order(Fence(generation, node), hop))


# --- the start ----------------------------------------------------------------------------------


def test_the_stream_starts_where_the_plan_says_and_goes_to_a_neighbor() -> None:
    peer, started = hop_in(station().start(ALL, 0.0))
    assert peer in ALL
    assert started.stream.fence == Fence(1, A)


def test_elsewhere_it_is_awaited() -> None:
    effects = station(start=B, first_lost_seconds=7.0).start(ALL, 1.0)
    assert timer_set(effects, TimerKind.LOST) == 8.0
    assert sent(effects) == []


def test_it_starts_above_every_fence_of_earlier_sessions() -> None:
    made = station(state=state_of(visited_once()), generation=4)
    _, started = hop_in(made.start(ALL, 0.0))
    assert started.stream.fence == Fence(5, A)


def test_without_a_link_it_waits_for_one() -> None:
    made = station()
    assert sent(made.start(NOBODY, 0.0)) == []
    assert made.held
    assert hop_in(made.link_up(C, frozenset({C}), 5.0))[0] == C


# --- the pace -----------------------------------------------------------------------------------


def test_the_pace_holds_the_stream_until_the_node_has_made_its_steps() -> None:
    made = elsewhere(local_steps=4)
    make_steps(made, 1, ALL, 0.5)
    effects = made.receive(B, hop(1, 1, tour=LAST), ALL, 1.0)
    assert of_kind(AwaitSteps, effects) == [AwaitSteps(stream_id=STREAM, more_steps=3)]
    assert [kind for _, kind in sent(effects)] == ["Receipt"]
    assert [kind for _, kind in sent(make_steps(made, 2, ALL, 2.0))] == []
    assert made.held
    assert [kind for _, kind in sent(make_steps(made, 1, ALL, 3.0))] == ["Hop"]
    assert not made.held


def test_the_pace_counts_from_the_last_departure() -> None:
    made = elsewhere(local_steps=3)
    make_steps(made, 4, ALL, 0.5)
    assert hop_in(made.receive(B, hop(1, 1, tour=LAST), ALL, 1.0))
    make_steps(made, 2, ALL, 1.5)
    effects = made.receive(B, hop(1, 5, tour=LAST), ALL, 2.0)
    assert of_kind(AwaitSteps, effects) == [AwaitSteps(stream_id=STREAM, more_steps=1)]


def test_the_pace_holds_a_stream_once_on_each_tour_where_it_ends() -> None:
    made = elsewhere(local_steps=4)
    make_steps(made, 1, ALL, 0.5)
    under_way = Tour(seen=frozenset({B}))
    assert hop_in(made.receive(B, hop(1, 1, tour=under_way), ALL, 1.0))[0] == C
    make_steps(made, 1, ALL, 1.5)
    effects = made.receive(C, hop(1, 5, tour=LAST), ALL, 2.0)
    assert of_kind(AwaitSteps, effects) == [AwaitSteps(stream_id=STREAM, more_steps=3)]
    assert made.held


def test_without_a_pace_it_leaves_at_once() -> None:
    assert hop_in(elsewhere().receive(B, hop(1, 1), ALL, 1.0))


def test_a_node_that_has_finished_training_holds_nothing() -> None:
    made = elsewhere(local_steps=3)
    made.receive(B, hop(1, 1, tour=LAST), ALL, 1.0)
    assert hop_in(end_training(made, ALL, 2.0))


def test_what_was_trained_while_it_was_held_leaves_with_it() -> None:
    made = elsewhere(local_steps=3)
    made.receive(B, hop(1, 1, tour=LAST), ALL, 1.0)
    effects = make_steps(made, 3, ALL, 2.0)
    _, left = hop_in(effects)
    assert left.stream.model.item() == 3
    assert left.stream.last_visit(A).steps == 3
    assert of_kind(Rebase, effects)[0].model.item() == 3


def test_a_visit_rebases_the_node_on_the_streams_model() -> None:
    made = elsewhere()
    make_steps(made, 2, ALL, 0.5)
    (rebase,) = of_kind(Rebase, made.receive(B, hop(1, 1), ALL, 1.0))
    assert rebase.model.item() == 2


# --- receipts -----------------------------------------------------------------------------------


def test_a_receipt_ends_the_wait_for_it_and_begins_the_wait_for_the_stream() -> None:
    made = station(first_lost_seconds=9.0)
    peer, left = hop_in(made.start(ALL, 0.0))
    effects = made.receive(peer, receipt_for(left), ALL, 1.0)
    assert made.outbound is None
    assert canceled(effects) == [TimerKind.RECEIPT]
    assert timer_set(effects, TimerKind.LOST) == 10.0


def test_a_receipt_for_another_copy_is_none() -> None:
    made = station()
    peer, left = hop_in(made.start(ALL, 0.0))
    other = Receipt(stream_id=STREAM, order=Order(left.stream.fence, 99), newest=left.stream.order)
    assert made.receive(peer, other, ALL, 1.0) == []
    assert made.outbound is not None


def test_a_receipt_from_another_peer_is_none() -> None:
    made = station()
    peer, left = hop_in(made.start(ALL, 0.0))
    (stranger,) = ALL - {peer}
    made.receive(stranger, receipt_for(left), ALL, 1.0)
    assert made.outbound is not None


def test_no_receipt_and_the_copy_is_sent_again_to_the_same_peer() -> None:
    made = station(first_receipt_seconds=2.0)
    effects = made.start(ALL, 0.0)
    peer, left = hop_in(effects)
    assert timer_set(effects, TimerKind.RECEIPT) == 2.0
    effects = made.timer_fired(TimerKind.RECEIPT, ALL, 2.0)
    assert notices(effects) == [NoticeKind.RESENT]
    assert hop_in(effects) == (peer, sent_at(2.0, left))
    assert timer_set(effects, TimerKind.RECEIPT) == 6.0  # twice as long


def test_after_the_resends_it_goes_another_way_with_a_raised_fence() -> None:
    made = station(resends=1)
    peer, left = hop_in(made.start(ALL, 0.0))
    made.timer_fired(TimerKind.RECEIPT, ALL, 3.0)
    effects = made.timer_fired(TimerKind.RECEIPT, ALL, 9.0)
    assert notices(effects) == [NoticeKind.REROUTED]
    other, again = hop_in(effects)
    assert {other} == ALL - {peer}
    assert again.stream.fence == Fence(left.stream.fence.generation + 1, A)
    assert again.stream.hop == left.stream.hop


def test_a_dead_link_is_not_tried_again() -> None:
    made = station()
    peer, _ = hop_in(made.start(ALL, 0.0))
    effects = made.timer_fired(TimerKind.RECEIPT, ALL - {peer}, 3.0)
    assert notices(effects) == [NoticeKind.REROUTED]


def test_with_no_link_at_all_it_waits_and_then_sends_again() -> None:
    made = station()
    peer, _ = hop_in(made.start(ALL, 0.0))
    effects = made.timer_fired(TimerKind.RECEIPT, NOBODY, 3.0)
    assert sent(effects) == []
    assert timer_set(effects, TimerKind.RECEIPT) > 3.0
    assert hop_in(made.link_up(peer, frozenset({peer}), 4.0))[0] == peer


def test_only_a_first_attempt_teaches_how_long_receipts_take() -> None:
    made = station()
    peer, left = hop_in(made.start(ALL, 0.0))
    made.timer_fired(TimerKind.RECEIPT, ALL, 3.0)
    made.receive(peer, receipt_for(left), ALL, 3.1)
    assert made.delays.receipt.smoothed_seconds is None  # Karn: which one was it for?


# --- which copy counts ---------------------------------------------------------------------------


def test_a_copy_that_came_before_is_dropped_and_the_receipt_says_what_is_known() -> None:
    made = elsewhere(local_steps=9)
    first = hop(1, 4, tour=LAST)
    made.receive(B, first, ALL, 1.0)
    effects = made.receive(B, first, ALL, 2.0)
    newest = Order(Fence(1, B), 5)
    receipt = Receipt(stream_id=STREAM, order=first.stream.order, newest=newest)
    assert effects == [Send(peer=B, message=receipt)]
    assert (made.counters.stale_drops, made.counters.visits) == (1, 1)


def test_a_copy_of_equal_order_is_dropped() -> None:
    made = elsewhere(local_steps=9)
    made.receive(B, hop(1, 4, tour=LAST), ALL, 1.0)
    made.receive(B, hop(1, made.kept.hop, tour=LAST), ALL, 2.0)
    assert (made.counters.stale_drops, made.counters.visits) == (1, 1)


def test_a_copy_below_a_known_fence_is_dropped() -> None:
    made = elsewhere()
    made.receive(C, Sighting(stream_id=STREAM, newest=Order(Fence(3, C), 2)), ALL, 1.0)
    effects = made.receive(B, hop(2, 50), ALL, 2.0)
    (send,) = of_kind(Send, effects)
    assert isinstance(send.message, Receipt)
    assert send.message.newest.fence == Fence(3, C)
    assert made.counters.visits == 0


def test_of_two_fences_of_one_generation_the_higher_node_wins() -> None:
    made = elsewhere(local_steps=9)
    made.receive(B, hop(2, 9, node=B), ALL, 1.0)
    made.receive(C, hop(2, 1, node=C), ALL, 2.0)
    assert made.kept.fence == Fence(2, C)
    made.receive(B, hop(2, 99, node=B), ALL, 3.0)
    assert made.kept.fence == Fence(2, C)


def test_a_receipt_tells_the_sender_of_a_higher_fence() -> None:
    made = station()
    peer, left = hop_in(made.start(ALL, 0.0))
    made.receive(peer, receipt_for(left, newest=Order(Fence(8, C), 1)), ALL, 1.0)
    assert made.highest == Fence(8, C)
    assert made.copy.newest == Order(Fence(8, C), 0)


def test_a_newer_copy_ends_the_wait_for_a_receipt() -> None:
    made = station(local_steps=1)
    made.start(ALL, 0.0)
    make_steps(made, 1, ALL, 0.5)
    assert made.outbound is not None
    effects = made.receive(C, hop(7, 1, tour=LAST), ALL, 1.0)
    assert canceled(effects) == [TimerKind.RECEIPT]
    assert made.held
    check_station(made)  # not both here and on its way


# --- the stream is lost --------------------------------------------------------------------------


def test_a_stream_that_stays_away_is_asked_for() -> None:
    effects = elsewhere().timer_fired(TimerKind.LOST, ALL, 30.0)
    assert sent(effects) == [(B, "Inquiry"), (C, "Inquiry")]
    assert timer_set(effects, TimerKind.ANSWERS) > 30.0


def test_an_inquiry_is_answered_with_the_newest_copy_known() -> None:
    made = elsewhere(local_steps=9)
    made.receive(B, hop(1, 4, tour=LAST), ALL, 1.0)
    (send,) = of_kind(Send, made.receive(C, Inquiry(stream_id=STREAM), ALL, 2.0))
    newest = Order(Fence(1, B), 5)
    assert send == Send(peer=C, message=Sighting(stream_id=STREAM, newest=newest))


def test_whoever_knows_that_a_neighbor_has_a_newer_copy_waits_longer() -> None:
    made = elsewhere(first_lost_seconds=30.0)
    made.timer_fired(TimerKind.LOST, ALL, 30.0)
    made.receive(B, Sighting(stream_id=STREAM, newest=Order(Fence(1, B), 4)), ALL, 30.5)
    effects = made.timer_fired(TimerKind.ANSWERS, ALL, 33.0)
    assert timer_set(effects, TimerKind.LOST) == 93.0
    assert made.counters.reissues == 0


def test_whoever_has_the_newest_copy_re_issues_it_above_all_others() -> None:
    made = elsewhere()
    made.timer_fired(TimerKind.LOST, ALL, 30.0)
    for peer in ALL:
        answer = Sighting(stream_id=STREAM, newest=made.copy.newest)
        made.receive(peer, answer, ALL, 30.5)
    effects = made.timer_fired(TimerKind.ANSWERS, ALL, 33.0)
    assert notices(effects) == [NoticeKind.REISSUED]
    assert hop_in(effects)[1].stream.fence == Fence(1, A)


def test_nobody_to_ask_is_no_reason_to_re_issue() -> None:
    made = elsewhere()
    effects = made.timer_fired(TimerKind.LOST, NOBODY, 30.0)
    assert timer_set(effects, TimerKind.LOST) > 30.0
    assert made.counters.reissues == 0


def test_a_stream_that_comes_after_all_ends_the_search() -> None:
    made = elsewhere(local_steps=9)
    make_steps(made, 9, ALL, 0.5)
    peer, left = hop_in(made.receive(B, hop(1, 4, tour=LAST), ALL, 1.0))
    made.receive(peer, receipt_for(left), ALL, 1.5)
    made.timer_fired(TimerKind.LOST, ALL, 30.0)
    assert canceled(made.receive(B, hop(1, 9, tour=LAST), ALL, 31.0)) == [TimerKind.ANSWERS]
    assert made.held
    assert made.timer_fired(TimerKind.ANSWERS, ALL, 33.0) == []


def test_only_timers_that_are_set_are_canceled() -> None:
    made = elsewhere(local_steps=9)
    make_steps(made, 1, ALL, 0.5)
    assert canceled(made.receive(B, hop(1, 4, tour=LAST), ALL, 1.0)) == [TimerKind.LOST]
    assert canceled(made.receive(B, hop(1, 6, tour=LAST), ALL, 2.0)) == []  # that wait was over


def test_a_held_stream_is_not_lost() -> None:
    made = elsewhere(local_steps=9)
    made.receive(B, hop(1, 4, tour=LAST), ALL, 1.0)
    assert made.timer_fired(TimerKind.LOST, ALL, 99.0) == []


def test_the_wait_for_the_stream_follows_its_tours() -> None:
    made = elsewhere(lost_tours=3.0)
    _, left = hop_in(made.receive(B, hop(1, 4), ALL, 1.0))
    made.receive(made.outbound.peer if made.outbound else B, receipt_for(left), ALL, 1.5)
    peer, left = hop_in(made.receive(B, hop(1, 9), ALL, 11.0))  # a tour of 10 s
    effects = made.receive(peer, receipt_for(left), ALL, 12.0)
    assert timer_set(effects, TimerKind.LOST) == 12.0 + max(3 * 10, 10 + 4 * 5)


def test_a_re_issued_stream_begins_a_new_tour() -> None:
    made = elsewhere()
    peer, left = hop_in(made.receive(B, hop(1, 4, tour=Tour(seen=frozenset({B}))), ALL, 1.0))
    assert left.stream.tour.seen == {A, B}
    made.receive(peer, receipt_for(left), ALL, 1.5)
    made.timer_fired(TimerKind.LOST, ALL, 30.0)
    made.receive(B, sighting(1, 4), ALL, 31.0)
    _, again = hop_in(made.timer_fired(TimerKind.ANSWERS, ALL, 33.0))
    assert again.stream.tour.seen == {A}


# --- when nobody knows: silence, hearsay, and a slow start ---------------------------------------


def visited_once() -> Station:
    """Return a station that the stream has left, receipt and all; it stays away from then on."""
    made = elsewhere()
    peer, left = hop_in(made.receive(B, hop(1, 4), ALL, 1.0))
    made.receive(peer, receipt_for(left), ALL, 1.5)
    return made


def test_silence_is_no_reason_to_re_issue() -> None:
    made = visited_once()
    made.timer_fired(TimerKind.LOST, ALL, 30.0)
    effects = made.timer_fired(TimerKind.ANSWERS, ALL, 33.0)
    assert timer_set(effects, TimerKind.LOST) > 33.0
    assert made.counters.reissues == 0


def test_one_answer_is_enough_for_whoever_was_visited() -> None:
    made = visited_once()
    made.timer_fired(TimerKind.LOST, ALL, 30.0)
    made.receive(B, sighting(1, 4), ALL, 30.5)
    assert notices(made.timer_fired(TimerKind.ANSWERS, ALL, 33.0)) == [NoticeKind.REISSUED]


def test_an_answer_to_an_earlier_question_is_none() -> None:
    made = visited_once()
    made.timer_fired(TimerKind.LOST, ALL, 30.0)
    made.timer_fired(TimerKind.ANSWERS, ALL, 33.0)
    made.receive(B, sighting(1, 4), ALL, 34.0)
    made.timer_fired(TimerKind.LOST, ALL, 60.0)
    made.timer_fired(TimerKind.ANSWERS, ALL, 63.0)
    assert made.counters.reissues == 0


def test_whoever_was_never_visited_re_issues_only_when_all_neighbors_have_spoken() -> None:
    made = elsewhere()
    made.timer_fired(TimerKind.LOST, ALL, 30.0)
    made.receive(B, NEVER_VISITED, ALL, 30.5)
    made.timer_fired(TimerKind.ANSWERS, ALL, 33.0)
    assert made.counters.reissues == 0
    made.timer_fired(TimerKind.LOST, ALL, 90.0)
    for peer in ALL:
        made.receive(peer, NEVER_VISITED, ALL, 90.5)
    assert notices(made.timer_fired(TimerKind.ANSWERS, ALL, 93.0)) == [NoticeKind.REISSUED]


def test_neighbors_that_have_left_since_are_no_consent() -> None:
    made = elsewhere()
    made.timer_fired(TimerKind.LOST, ALL, 30.0)
    made.timer_fired(TimerKind.ANSWERS, NOBODY, 33.0)
    assert made.counters.reissues == 0


def test_an_answer_tells_what_is_kept_and_not_what_was_heard_of() -> None:
    made = visited_once()
    made.receive(B, sighting(7, 9), ALL, 2.0)
    (send,) = of_kind(Send, made.receive(C, Inquiry(stream_id=STREAM), ALL, 3.0))
    assert send.message == Sighting(stream_id=STREAM, newest=made.kept.order)


def test_the_initial_model_never_replaces_a_copy_that_a_neighbor_keeps() -> None:
    made = elsewhere()
    made.receive(C, sighting(4, 9), ALL, 2.0)  # that copy is gone, but its fence is known
    made.timer_fired(TimerKind.LOST, ALL, 30.0)
    made.receive(B, sighting(3, 17), ALL, 30.5)
    made.receive(C, NEVER_VISITED, ALL, 30.5)
    made.timer_fired(TimerKind.ANSWERS, ALL, 33.0)
    assert made.counters.reissues == 0


def test_whoever_lost_its_state_does_not_start_what_was_started_before() -> None:
    made = station(generation=4)
    effects = made.start(ALL, 0.0)
    assert sent(effects) == []
    assert timer_set(effects, TimerKind.LOST) == 30.0


def test_the_pace_explains_why_a_stream_has_not_come_yet() -> None:
    made = elsewhere(local_steps=5)
    make_steps(made, 4, ALL, 20.0)
    effects = made.timer_fired(TimerKind.LOST, ALL, 30.0)
    assert sent(effects) == []
    assert timer_set(effects, TimerKind.LOST) == 60.0
    make_steps(made, 1, ALL, 40.0)
    assert sent(made.timer_fired(TimerKind.LOST, ALL, 60.0)) == [(B, "Inquiry"), (C, "Inquiry")]


def test_the_pace_explains_nothing_to_whoever_has_finished() -> None:
    made = elsewhere(local_steps=5)
    end_training(made, ALL, 20.0)
    assert sent(made.timer_fired(TimerKind.LOST, ALL, 30.0)) == [(B, "Inquiry"), (C, "Inquiry")]


def test_the_pace_explains_only_the_first_tour() -> None:
    made = elsewhere(local_steps=5)
    make_steps(made, 5, ALL, 0.5)
    peer, left = hop_in(made.receive(B, hop(1, 4, tour=LAST), ALL, 1.0))
    made.receive(peer, receipt_for(left), ALL, 1.5)
    assert sent(made.timer_fired(TimerKind.LOST, ALL, 30.0)) == [(B, "Inquiry"), (C, "Inquiry")]


# --- outranked copies ----------------------------------------------------------------------------


def test_a_held_copy_that_is_outranked_goes_nowhere() -> None:
    made = elsewhere(local_steps=9)
    made.receive(B, hop(1, 4, tour=LAST), ALL, 1.0)
    made.receive(C, sighting(9, 40), ALL, 2.0)
    effects = make_steps(made, 9, ALL, 3.0)
    assert sent(effects) == []
    assert timer_set(effects, TimerKind.LOST) > 3.0
    assert not made.held


def test_a_sent_copy_that_is_outranked_is_not_sent_again() -> None:
    made = station()
    made.start(ALL, 0.0)
    made.receive(C, sighting(9, 40), ALL, 1.0)
    effects = made.timer_fired(TimerKind.RECEIPT, ALL, 3.0)
    assert sent(effects) == []
    assert timer_set(effects, TimerKind.LOST) > 3.0
    assert made.outbound is None
    assert made.kept.fence == Fence(1, A)  # and not raised above the other


def test_a_new_link_does_not_bring_an_outranked_copy_back() -> None:
    made = station()
    peer, _ = hop_in(made.start(ALL, 0.0))
    made.receive(C, sighting(9, 40), ALL, 1.0)
    assert sent(made.link_up(peer, ALL, 2.0)) == []


# --- links that come and go ----------------------------------------------------------------------


def test_a_link_that_comes_back_is_no_wait_in_vain() -> None:
    made = station(first_receipt_seconds=3.0, resends=9)
    peer, left = hop_in(made.start(ALL, 0.0))
    for flap in range(6):
        effects = made.link_up(peer, ALL, 0.1 * flap)
        assert hop_in(effects) == (peer, sent_at(0.1 * flap, left))
        assert timer_set(effects, TimerKind.RECEIPT) == pytest.approx(0.1 * flap + 3.0)


def test_another_link_takes_a_stuck_hop_along() -> None:
    made = station()
    peer, _ = hop_in(made.start(ALL, 0.0))
    (other,) = ALL - {peer}
    made.timer_fired(TimerKind.RECEIPT, NOBODY, 3.0)
    effects = made.link_up(other, frozenset({other}), 4.0)
    assert notices(effects) == [NoticeKind.REROUTED]
    assert hop_in(effects)[0] == other


def test_another_link_leaves_a_hop_alone_that_is_well_on_its_way() -> None:
    made = station()
    peer, _ = hop_in(made.start(ALL, 0.0))
    (other,) = ALL - {peer}
    assert made.link_up(other, ALL, 1.0) == []


def test_without_a_link_steps_are_no_visits() -> None:
    made = station()
    made.start(NOBODY, 0.0)
    for _ in range(50):
        make_steps(made, 1, NOBODY, 1.0)
    assert made.counters.visits == 1
    _, left = hop_in(made.link_up(B, ALL, 2.0))
    assert left.stream.model.item() == 50


# --- the end of the session ----------------------------------------------------------------------


def closing_copy(hops: int, *, finished: frozenset[NodeId] = EVERYONE, closing: bool = True) -> Hop:
    """Return a copy on its last tour, which has everyone but A behind it."""
    return hop(1, hops, finished=finished, closing=closing, tour=Tour(seen=ALL))


def finished_station() -> Station:
    made = elsewhere()
    end_training(made, ALL, 0.5)
    return made


def test_the_last_tour_begins_when_all_have_finished() -> None:
    _, left = hop_in(finished_station().receive(B, closing_copy(9, closing=False), ALL, 1.0))
    assert left.stream.closing
    assert left.stream.tour.seen == {A}


def test_no_last_tour_begins_while_anyone_trains() -> None:
    copy = closing_copy(9, closing=False, finished=EVERYONE - {C})
    _, left = hop_in(finished_station().receive(B, copy, ALL, 1.0))
    assert not left.stream.closing


def test_a_complete_last_tour_closes_the_stream_and_says_so_to_all() -> None:
    made = finished_station()
    effects = made.receive(B, closing_copy(9), ALL, 1.0)
    assert sent(effects) == [(B, "Receipt"), (B, "Close"), (C, "Close")]
    assert of_kind(StreamClosed, effects) == [StreamClosed(stream_id=STREAM)]
    assert made.closed


def test_news_on_the_last_tour_mean_one_more() -> None:
    made = elsewhere()
    make_steps(made, 1, ALL, 0.2)
    end_training(made, ALL, 0.5)
    _, left = hop_in(made.receive(B, closing_copy(9), ALL, 1.0))
    assert not made.closed
    assert left.stream.closing  # a new last tour
    assert left.stream.tour.seen == {A}


def test_whoever_still_trains_is_visited_on_no_last_tour() -> None:
    _, left = hop_in(elsewhere().receive(B, closing_copy(9), ALL, 1.0))
    assert not left.stream.closing
    assert left.stream.finished == {B, C}


def test_whoever_still_trains_closes_when_it_has_finished() -> None:
    made = elsewhere()
    close = Close(stream_id=STREAM, order=Order(Fence(1, B), 9))
    assert made.receive(B, close, ALL, 1.0) == []
    assert not made.closed
    effects = end_training(made, ALL, 2.0)
    assert of_kind(StreamClosed, effects) == [StreamClosed(stream_id=STREAM)]


def test_a_close_that_was_heard_means_nothing_once_a_newer_copy_has_come() -> None:
    made = elsewhere()
    made.receive(B, Close(stream_id=STREAM, order=Order(Fence(1, B), 9)), ALL, 1.0)
    made.receive(C, hop(2, 3, node=C), ALL, 1.5)
    end_training(made, ALL, 2.0)
    assert not made.closed


def test_a_close_that_was_outranked_meanwhile_means_nothing() -> None:
    made = elsewhere()
    made.receive(B, Close(stream_id=STREAM, order=Order(Fence(1, B), 9)), ALL, 1.0)
    made.receive(C, sighting(2, 3), ALL, 1.5)
    end_training(made, ALL, 2.0)
    assert not made.closed


# --- members that cannot be reached --------------------------------------------------------------

ONLY_B = frozenset({B})
LAST_BUT_C = hop(
    1,
    9,
    finished=EVERYONE - {C},
    tour=Tour(seen=frozenset({B}), dead_links=frozenset({link(B, C)})),
)


def test_the_last_tour_waits_for_members_that_cannot_be_reached_but_once() -> None:
    made = finished_station()
    effects = made.receive(B, LAST_BUT_C, ONLY_B, 1.0)
    assert timer_set(effects, TimerKind.MISSING) == 31.0
    assert made.held
    effects = made.timer_fired(TimerKind.MISSING, ONLY_B, 31.0)
    peer, left = hop_in(effects)
    assert (peer, left.stream.closing) == (B, True)


def test_a_member_that_comes_back_in_time_is_visited_first() -> None:
    made = finished_station()
    made.receive(B, LAST_BUT_C, ONLY_B, 1.0)
    peer, left = hop_in(made.link_up(C, ALL, 5.0))
    assert (peer, left.stream.closing) == (C, False)


def test_a_session_of_one_ends_with_its_training() -> None:
    made = station(topology={A: NOBODY})
    made.start(NOBODY, 0.0)
    make_steps(made, 3, NOBODY, 1.0)
    assert not made.closed
    effects = end_training(made, NOBODY, 2.0)
    assert of_kind(StreamClosed, effects) == [StreamClosed(stream_id=STREAM)]
    assert made.kept.model.item() == 3


def test_with_the_stream_and_without_links_a_finished_node_waits_and_gives_up() -> None:
    made = station()
    made.start(NOBODY, 0.0)
    assert timer_set(end_training(made, NOBODY, 1.0), TimerKind.MISSING) == 31.0
    assert of_kind(StreamClosed, made.timer_fired(TimerKind.MISSING, NOBODY, 31.0))


def test_with_a_hop_on_its_way_and_without_links_a_finished_node_waits_and_gives_up() -> None:
    made = station()
    made.start(ALL, 0.0)
    end_training(made, ALL, 1.0)
    assert not of_kind(StreamClosed, made.timer_fired(TimerKind.RECEIPT, NOBODY, 29.0))
    assert of_kind(StreamClosed, made.timer_fired(TimerKind.RECEIPT, NOBODY, 31.0))


def test_without_stream_and_links_a_finished_node_gives_up() -> None:
    made = finished_station()
    assert of_kind(StreamClosed, made.timer_fired(TimerKind.LOST, NOBODY, 30.0))


@pytest.mark.parametrize("kind", [TimerKind.LOST, TimerKind.MISSING, TimerKind.RECEIPT])
def test_without_links_a_node_that_trains_never_gives_up(kind: TimerKind) -> None:
    made = station() if kind is TimerKind.RECEIPT else elsewhere()
    made.start(ALL if kind is TimerKind.RECEIPT else NOBODY, 0.0)
    made.timer_fired(kind, NOBODY, 999.0)
    assert not made.closed


def test_whoever_gave_up_tells_nobody_of_an_end() -> None:
    made = finished_station()
    made.timer_fired(TimerKind.LOST, NOBODY, 30.0)
    assert timer_set(made.link_up(B, ONLY_B, 31.0), TimerKind.LOST) > 31.0
    assert not made.closed
    (send,) = of_kind(Send, made.receive(B, Inquiry(stream_id=STREAM), ONLY_B, 32.0))
    assert isinstance(send.message, Sighting)


def test_whoever_gave_up_with_the_stream_sends_it_on_after_all() -> None:
    made = station()
    made.start(NOBODY, 0.0)
    end_training(made, NOBODY, 1.0)
    made.timer_fired(TimerKind.MISSING, NOBODY, 31.0)
    assert hop_in(made.link_up(C, frozenset({C}), 40.0))[0] == C
    assert not made.closed


def test_a_close_is_passed_on_once() -> None:
    made = finished_station()
    close = Close(stream_id=STREAM, order=Order(Fence(1, B), 9))
    effects = made.receive(B, close, ALL, 1.0)
    assert sent(effects) == [(C, "Close")]
    assert of_kind(StreamClosed, effects)
    assert made.receive(C, close, ALL, 2.0) == []


def test_a_close_of_an_outranked_copy_is_none() -> None:
    made = finished_station()
    made.receive(C, Sighting(stream_id=STREAM, newest=Order(Fence(3, C), 2)), ALL, 1.0)
    close = Close(stream_id=STREAM, order=Order(Fence(1, B), 99))
    assert made.receive(B, close, ALL, 2.0) == []
    assert not made.closed


def test_a_closed_node_answers_inquiries_with_close() -> None:
    made = finished_station()
    made.receive(B, closing_copy(9), ALL, 1.0)
    (send,) = of_kind(Send, made.receive(C, Inquiry(stream_id=STREAM), ALL, 2.0))
    assert send.message == Close(stream_id=STREAM, order=made.kept.order)


def test_a_closed_node_does_nothing_more_by_itself() -> None:
    made = finished_station()
    made.receive(B, closing_copy(9), ALL, 1.0)
    assert all(made.timer_fired(kind, ALL, 99.0) == [] for kind in TimerKind)
    assert made.link_up(B, ALL, 99.0) == []


def test_a_newer_copy_reopens_what_was_closed() -> None:
    made = finished_station()
    made.receive(B, closing_copy(9), ALL, 1.0)
    assert hop_in(made.receive(C, hop(2, 3, node=C), ALL, 2.0))
    assert not made.closed


# --- what outlives a session ---------------------------------------------------------------------


def test_the_state_carries_account_copy_and_fence_to_the_next_session() -> None:
    made = elsewhere(local_steps=9)
    make_steps(made, 2, ALL, 0.5)
    made.receive(B, closing_copy(4), ALL, 1.0)
    again = station(state=state_of(made))
    assert (again.account, again.highest) == (made.account, made.highest)
    assert again.kept.order == made.kept.order
    assert (again.kept.tour, again.kept.finished, again.kept.closing) == (Tour(), NOBODY, False)


def test_a_state_below_its_own_copy_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="below the kept"):
        StationState(account=account(), kept=stream(fence=Fence(2, B)), highest=Fence(1, B))


def test_a_state_without_its_latest_work_goes_on_with_a_new_account() -> None:
    made = visited_once()
    make_steps(made, 3, ALL, 2.0)  # lost: the state is from before
    again = station(state=reopened(state_of(made), life=LIFE + 1), start=B)
    again.start(ALL, 0.0)
    make_steps(again, 5, ALL, 1.0)
    _, left = hop_in(again.receive(B, hop(2, 9, visits=made.kept.visits), ALL, 2.0))
    assert left.stream.model.item() == 5
    assert left.stream.last_visit(A).life == LIFE + 1
    assert again.counters.forfeited_steps == 0


def test_a_stream_that_never_came_is_asked_for_soon_where_its_start_is_gone() -> None:
    made = elsewhere(first_receipt_seconds=3.0, first_lost_seconds=30.0)  # it starts at B
    assert made.link_down(C, frozenset({B}), 1.0) == []
    assert timer_set(made.link_down(B, frozenset({C}), 2.0), TimerKind.LOST) == 5.0


def test_once_it_has_come_its_start_is_a_node_as_any() -> None:
    made = elsewhere()
    peer, left = hop_in(made.receive(C, hop(1, 4, tour=Tour(seen=frozenset({B, C}))), ALL, 1.0))
    made.receive(peer, receipt_for(left), ALL, 1.5)
    other = B if peer == C else C
    assert made.link_down(other, frozenset({peer}), 2.0) == []
