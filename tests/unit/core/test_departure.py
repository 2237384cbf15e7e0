"""A copy on its way: what a receipt, its absence and the links decide."""

from __future__ import annotations

from typing import Any

from flwr_digest.core.decision import Decision, Then, wait
from flwr_digest.core.departure import Departure
from flwr_digest.core.effects import Effect, Notice, NoticeKind, SetTimer
from flwr_digest.core.ids import Fence, NodeId, Order
from flwr_digest.core.messages import Receipt
from flwr_digest.core.stream import Tour
from tests.unit.core.builders import STREAM, A, B, C, hop_in, of_kind, shard_of, station

ALL, ONLY_C = frozenset({B, C}), frozenset({C})
NOBODY: frozenset[NodeId] = frozenset()
TOUR = Tour(seen=frozenset({A}))


def sent_to_b(*, trained: bool = False, **fields: Any) -> Departure:  # noqa: ANN401
    """Return A's departure when it has just sent the initial copy to B."""
    made = station(**{"first_receipt_seconds": 3.0, "first_lost_seconds": 30.0, **fields})
    shard_of(made).trained = trained
    made.departure.send(B, TOUR, 0.0)
    return made.departure


def notices(effects: tuple[Effect, ...]) -> list[NoticeKind]:
    return [notice.kind for notice in of_kind(Notice, effects)]


def receipt(made: Departure) -> Receipt:
    order = made.copy.stream.order
    return Receipt(stream_id=STREAM, order=order, newest=order)


def test_what_is_sent_is_the_kept_copy_on_its_tour() -> None:
    made = station().departure
    peer, left = hop_in(made.send(C, TOUR, 1.0))
    assert (peer, left.stream) == (C, made.copy.stream)
    assert left.stream.tour == TOUR


def test_only_the_receipt_for_this_copy_from_this_peer_counts() -> None:
    made = sent_to_b()
    other = Receipt(stream_id=STREAM, order=Order(Fence(9, C), 9), newest=made.copy.stream.order)
    assert not made.acknowledged(C, receipt(made), 1.0)
    assert not made.acknowledged(B, other, 1.0)
    assert made.acknowledged(B, receipt(made), 1.0)
    assert made.delays.receipt.smoothed_seconds == 1.0
    assert not made.acknowledged(B, receipt(made), 2.0)  # it is awaited no longer


def test_first_again_then_another_way_with_a_raised_fence() -> None:
    made = sent_to_b(resends=1)
    assert notices(made.late(ALL, 3.0).effects) == [NoticeKind.RESENT]
    decision = made.late(ALL, 9.0)
    assert notices(decision.effects) == [NoticeKind.REROUTED]
    peer, left = hop_in(decision.effects)
    assert (peer, left.stream.fence.node) == (C, A)


def test_where_there_is_no_other_way_it_is_tried_again_for_ever() -> None:
    made = sent_to_b(resends=0)
    for turn in range(5):
        decision = made.late(frozenset({B}), float(turn))
        assert notices(decision.effects) == [NoticeKind.RESENT]


def test_without_any_link_it_waits_and_whoever_has_nothing_left_to_do_gives_up() -> None:
    made = sent_to_b(trained=True)
    decision = made.late(NOBODY, 30.0)
    assert decision.then is Then.WAIT
    assert [effect.at for effect in of_kind(SetTimer, decision.effects)] == [33.0]
    assert made.late(NOBODY, 30.1) == Decision(then=Then.GIVE_UP)
    assert sent_to_b(trained=False).late(NOBODY, 30.1).then is Then.WAIT


def test_an_outranked_copy_is_let_go() -> None:
    made = sent_to_b()
    made.copy.heard_of(Fence(9, C))
    assert made.late(ALL, 3.0) == Decision(then=Then.AWAIT)
    assert made.outbound is None
    assert made.late(ALL, 4.0) == wait()


def test_a_link_that_comes_back_means_that_what_was_on_it_is_lost() -> None:
    made = sent_to_b()
    assert hop_in(made.link_up(B, ALL, 1.0).effects)[0] == B
    assert made.link_up(C, ALL, 2.0) == wait()  # it is well on its way


def test_a_broken_link_takes_a_copy_another_way_if_it_was_the_copys() -> None:
    made = sent_to_b()
    assert made.link_down(C, frozenset({B}), 1.0) == wait()
    assert hop_in(made.link_down(B, ONLY_C, 1.0).effects)[0] == C
