"""A gateway: what it tells one region of another, when it lingers, and what it never gives up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import networkx as nx
import pytest

from flwr_digest.core.effects import (
    Effect,
    Notice,
    NoticeKind,
    Rebase,
    Send,
    SetTimer,
    StreamClosed,
)
from flwr_digest.core.events import (
    LinkUp,
    MessageReceived,
    SessionStarted,
    Timer,
    TimerFired,
    TimerKind,
    TrainingFinished,
)
from flwr_digest.core.ids import Fence, NodeId, Order, StreamId
from flwr_digest.core.messages import Close, Hop, Receipt
from flwr_digest.core.node import Node
from flwr_digest.core.stream import Stream, Tour, Visit
from flwr_digest.core.visits import MOST_REPLACEMENTS
from tests.unit.core.builders import (
    LIFE,
    OTHER,
    STREAM,
    A,
    B,
    C,
    config,
    hop,
    hop_in,
    node_of,
    of_kind,
    steps,
    stream,
    topology_of,
    vector,
    visiting,
)

PATH = topology_of(nx.path_graph(3))
REGIONS = {STREAM: visiting({A, B}), OTHER: visiting({B, C}, start=C)}
FROM = {STREAM: A, OTHER: C}


def gateway(**fields: Any) -> Node:  # noqa: ANN401
    """Return node B, with A in one region and C in the other; both streams start there."""
    made = node_of(config(node_id=B, topology=PATH, streams=REGIONS, **fields))
    made.handle(SessionStarted(), 0.0)
    for peer in (A, C):
        made.handle(LinkUp(peer=peer), 0.0)
    return made


def comes(
    made: Node,
    stream_id: StreamId,
    hops: int,
    now: float,
    generation: int = 1,
    **fields: Any,  # noqa: ANN401
) -> list[Effect]:
    """Let a copy of a stream come from where its region lies."""
    peer = FROM[stream_id]
    given = {"tour": Tour(seen=frozenset({peer})), "changes": hops, **fields}
    message = hop(generation, hops, node=peer, stream_id=stream_id, **given)
    return made.handle(MessageReceived(peer=peer, message=message), now)


def taken(made: Node, left: Hop, now: float) -> None:
    """Let the peer of a stream's region acknowledge what was sent."""
    order = left.stream.order
    receipt = Receipt(stream_id=left.stream.stream_id, order=order, newest=order)
    made.handle(MessageReceived(peer=FROM[left.stream.stream_id], message=receipt), now)


def visit(steps: int = 0, **fields: Any) -> Visit:  # noqa: ANN401
    """Return a visit to a node other than the gateway."""
    return Visit(**{"life": 1, "number": 1, "hop": 1, "steps": steps, **fields})


def notices(effects: list[Effect]) -> list[NoticeKind]:
    return [notice.kind for notice in of_kind(Notice, effects)]


# --- what one region has learned -----------------------------------------------------------------


def test_what_one_region_has_learned_comes_to_the_other() -> None:
    made = gateway()
    _, left = hop_in(comes(made, STREAM, 1, 1.0, model=vector(5)))
    assert left.stream.model == vector(5)
    _, left = hop_in(comes(made, OTHER, 1, 2.0, model=vector(7)))
    assert left.stream.model == vector(12)
    assert left.stream.last_visit(B).steps == 0


def test_each_region_gets_the_gateways_own_steps_and_each_once() -> None:
    made = gateway()
    made.handle(steps(3), 0.5)
    _, one = hop_in(comes(made, STREAM, 1, 1.0, model=vector(5)))
    _, other = hop_in(comes(made, OTHER, 1, 2.0, model=vector(7)))
    assert (one.stream.model, other.stream.model) == (vector(8), vector(15))
    again = one.stream
    _, one = hop_in(
        comes(made, STREAM, 9, 3.0, model=again.model, visits=again.visits, changes=again.changes)
    )
    assert one.stream.model == vector(15)


def test_the_gateway_itself_goes_on_from_both() -> None:
    made = gateway()
    comes(made, STREAM, 1, 1.0, model=vector(5))
    (rebase,) = of_kind(Rebase, comes(made, OTHER, 1, 2.0, model=vector(7)))
    assert rebase.model == vector(12)


def test_a_visit_says_of_how_many_nodes_and_how_old_its_news_is() -> None:
    made = gateway()
    # The clock of this stream shows 10 at 100 by the driver's, so A's news is of 93.
    comes(made, STREAM, 1, 100.0, visits={A: visit(born_seconds=3.0)}, clock_seconds=10.0)
    _, left = hop_in(comes(made, OTHER, 1, 101.0, clock_seconds=1.0))
    told = left.stream.last_visit(B)
    assert told.behind == 2  # itself and A
    assert told.born_seconds == pytest.approx((1.0 + (93.0 - 100.0)) / 2)


def test_the_stream_takes_its_clock_along() -> None:
    made = gateway()
    _, left = hop_in(comes(made, STREAM, 1, 100.0, clock_seconds=10.0))
    assert left.stream.clock_seconds == pytest.approx(10.0)  # no receipt was measured yet
    taken(made, left, 100.5)
    _, left = hop_in(comes(made, STREAM, 9, 200.0, clock_seconds=20.0))
    assert left.stream.clock_seconds == pytest.approx(20.5)  # as long as a receipt took


# --- the gate ------------------------------------------------------------------------------------


def test_steps_wait_at_the_gate_until_newer_news_has_come() -> None:
    made = gateway()
    made.handle(steps(1), 0.5)
    assert from_a(made, 1, now=10.0, born_seconds=9.0) == (1, 1)
    made.handle(steps(2), 11.0)
    assert from_a(made, 5, now=12.0, born_seconds=9.0) == (1, 3)  # the gate is closed
    assert from_a(made, 9, now=13.0, born_seconds=9.0) == (1, 3)
    from_a(made, 13, now=14.0, born_seconds=12.0)  # brings the news that opens it
    assert from_a(made, 17, now=15.0, born_seconds=12.0) == (3, 3)


def from_a(made: Node, hops: int, now: float, born_seconds: float) -> tuple[float, float]:
    """Let a stream come back from A with news; return what it has then, and what the node."""
    kept = made.stations[STREAM].kept
    visits = {**kept.visits, A: visit(born_seconds=born_seconds)}
    effects = comes(made, STREAM, hops, now, model=kept.model, visits=visits, clock_seconds=now)
    rebase = of_kind(Rebase, effects)[-1]
    return hop_in(effects)[1].stream.model.item(), rebase.model.item()


# --- lingering -----------------------------------------------------------------------------------


def done(*nodes: NodeId) -> frozenset[NodeId]:
    return frozenset(nodes)


def lingers(stream_id: StreamId, effects: list[Effect]) -> set[float]:
    """Return until when a stream is to linger; it may be said twice."""
    timer = Timer(kind=TimerKind.IDLE, stream_id=stream_id)
    return {effect.at for effect in of_kind(SetTimer, effects) if effect.timer == timer}


def leaves(stream_id: StreamId, effects: list[Effect]) -> Stream:
    """Return the copy of that stream that leaves; those of others may leave, too."""
    hops = [e.message.stream for e in of_kind(Send, effects) if isinstance(e.message, Hop)]
    (left,) = [left for left in hops if left.stream_id == stream_id]
    return left


def fired(made: Node, kind: TimerKind, stream_id: StreamId, now: float) -> list[Effect]:
    return made.handle(TimerFired(timer=Timer(kind=kind, stream_id=stream_id)), now)


def trained_gateway(**fields: Any) -> Node:  # noqa: ANN401
    made = gateway(**fields)
    made.handle(TrainingFinished(), 0.5)
    return made


def test_where_only_others_behind_it_still_train_a_stream_lingers_for_a_while() -> None:
    made = trained_gateway(first_receipt_seconds=2.0)
    effects = comes(made, OTHER, 1, 1.0, finished=done(C))
    assert lingers(OTHER, effects) == {3.0}
    assert made.stations[OTHER].held
    peer, left = hop_in(fired(made, TimerKind.IDLE, OTHER, 3.0))
    assert (peer, left.stream.closing) == (C, False)
    assert left.stream.finished == {C}  # A may bring something yet


def test_news_from_the_other_region_ends_the_lingering_at_once() -> None:
    made = trained_gateway()
    comes(made, OTHER, 1, 1.0, tour=Tour())  # on its way to C
    effects = comes(made, STREAM, 1, 1.5, model=vector(5))
    assert leaves(OTHER, effects).model == vector(5)
    assert made.stations[STREAM].held  # this one lingers now


def test_the_end_of_training_behind_it_is_news_too() -> None:
    made = trained_gateway()
    comes(made, OTHER, 1, 1.0, finished=done(C))
    effects = comes(made, STREAM, 1, 1.5, finished=done(A))
    assert leaves(OTHER, effects).finished == {B, C}


def test_a_stream_lingers_once_until_it_has_left() -> None:
    made = trained_gateway(first_receipt_seconds=2.0)
    comes(made, OTHER, 1, 1.0)
    assert lingers(OTHER, made.handle(LinkUp(peer=A), 2.0)) == {3.0}  # not longer
    _, left = hop_in(fired(made, TimerKind.IDLE, OTHER, 3.0))
    taken(made, left, 3.0)
    assert len(lingers(OTHER, comes(made, OTHER, 9, 4.0))) == 1


def test_a_stream_that_comes_back_without_news_lingers_twice_as_long() -> None:
    made = trained_gateway(first_receipt_seconds=2.0, first_lost_seconds=1e6)
    now, waits = 1.0, []
    left = stream(stream_id=OTHER, fence=Fence(1, C), hop=1)
    for _ in range(4):
        tour = Tour(seen=frozenset({C}))
        copy = Hop(stream=replace(left, hop=left.hop + 1, tour=tour))
        (until,) = lingers(OTHER, made.handle(MessageReceived(peer=C, message=copy), now))
        waits.append(until - now)
        left, now = leaves(OTHER, fired(made, TimerKind.IDLE, OTHER, until)), until
    assert waits == [2, 4, 8, 16]


def test_nothing_lingers_where_all_behind_have_finished() -> None:
    made = trained_gateway()
    comes(made, STREAM, 1, 1.0, finished=done(A))
    effects = comes(made, OTHER, 1, 2.0)
    assert lingers(OTHER, effects) == set()
    assert leaves(OTHER, effects).finished == {B}


def test_nothing_lingers_while_the_gateway_trains() -> None:
    effects = comes(gateway(), OTHER, 1, 1.0)
    assert lingers(OTHER, effects) == set()
    assert hop_in(effects)[0] == C


def test_nothing_lingers_where_no_other_region_is_behind() -> None:
    made = node_of(config(node_id=A, topology=PATH, streams=REGIONS))
    for event in (SessionStarted(), LinkUp(peer=B), TrainingFinished()):
        effects = made.handle(event, 0.0)
    assert lingers(STREAM, effects) == set()


# --- what a gateway never gives up ---------------------------------------------------------------

UNKNOWN = Visit(life=LIFE, number=77, hop=3, steps=1)  # a visit that its history does not have


def test_a_copy_that_is_too_old_is_replaced_by_the_gateways_own() -> None:
    made = gateway()
    made.handle(steps(3), 0.5)
    _, own = hop_in(comes(made, STREAM, 4, 1.0, model=vector(5)))
    taken(made, own, 1.5)
    made.handle(steps(2), 2.0)
    tour = Tour(seen=frozenset({A}))
    effects = comes(
        made, STREAM, 50, 3.0, generation=6, model=vector(100), visits={B: UNKNOWN}, tour=tour
    )
    assert notices(effects) == [NoticeKind.REPLACED]
    _, left = hop_in(effects)
    assert left.stream.model == vector(10)  # its own, and what it has made since
    assert left.stream.fence == Fence(7, B)
    counters = made.stations[STREAM].counters
    assert (counters.replacements, counters.forfeited_steps) == (1, 0)


def test_the_other_region_gets_nothing_of_what_was_replaced() -> None:
    made = gateway()
    comes(made, STREAM, 4, 1.0, model=vector(5))
    comes(made, STREAM, 50, 2.0, generation=6, model=vector(100), visits={B: UNKNOWN})
    _, left = hop_in(comes(made, OTHER, 1, 3.0))
    assert left.stream.model == vector(5)


def test_a_last_tour_does_not_go_on_with_a_replaced_copy() -> None:
    made = trained_gateway()
    comes(made, OTHER, 1, 0.6, finished=done(C))
    effects = comes(made, STREAM, 9, 1.0, visits={B: UNKNOWN}, closing=True, finished=done(A))
    left = leaves(STREAM, effects)
    assert (left.fence, left.closing) == (Fence(2, B), False)
    assert left.finished == {B}  # whether A has finished, its own copy does not know


def test_nor_does_it_with_the_gateways_own() -> None:
    made = trained_gateway()
    comes(made, OTHER, 1, 0.6, finished=done(C))
    left = leaves(STREAM, comes(made, STREAM, 9, 1.0, finished=done(A)))
    assert left.closing
    again = leaves(STREAM, comes(made, STREAM, 20, 2.0, 6, visits={B: UNKNOWN}, tour=Tour()))
    assert not again.closing  # A has got another copy since


def replaced_often(made: Node, times: int) -> list[Effect]:
    """Let copies come that are too old; return the effects of the last."""
    effects: list[Effect] = []
    for time in range(times):
        generation = made.stations[STREAM].highest.generation + 1
        effects = comes(
            made, STREAM, 50, 3.0 + time, generation, model=vector(100), visits={B: UNKNOWN}
        )
    return effects


def test_gateways_do_not_replace_each_others_copies_for_ever() -> None:
    made = gateway()
    assert notices(replaced_often(made, MOST_REPLACEMENTS)) == [NoticeKind.REPLACED]
    effects = replaced_often(made, 1)
    assert notices(effects) == [NoticeKind.HISTORY_LOST]
    peer, left = hop_in(effects)
    assert (peer, left.stream.model) == (A, vector(100))
    assert left.stream.last_visit(B) == UNKNOWN  # it was no visit
    assert of_kind(Rebase, effects) == []
    assert made.stations[STREAM].counters.replacements == MOST_REPLACEMENTS


def test_a_gateway_that_only_relays_one_stream_goes_on_with_the_other() -> None:
    made = gateway()
    replaced_often(made, MOST_REPLACEMENTS + 1)
    made.handle(steps(3), 50.0)
    _, left = hop_in(comes(made, OTHER, 1, 51.0))
    assert left.stream.model == vector(3)
    _, left = hop_in(comes(made, STREAM, 900, 52.0, generation=99, model=vector(7)))
    assert left.stream.model == vector(7)
    assert made.stations[STREAM].counters.visits == MOST_REPLACEMENTS


def test_a_gateway_that_only_relays_one_stream_hears_of_its_end_all_the_same() -> None:
    made = gateway()
    replaced_often(made, MOST_REPLACEMENTS + 1)
    close = Close(stream_id=STREAM, order=Order(Fence(99, A), 9))
    effects = made.handle(MessageReceived(peer=A, message=close), 50.0)
    assert of_kind(StreamClosed, effects) == [StreamClosed(stream_id=STREAM)]


def test_without_regions_work_is_given_up_instead() -> None:
    made = node_of(config(node_id=B, topology=PATH))
    made.handle(LinkUp(peer=A), 0.0)
    made.handle(steps(3), 0.5)
    copy = hop(6, 50, node=A, model=vector(100), visits={B: UNKNOWN})
    effects = made.handle(MessageReceived(peer=A, message=copy), 1.0)
    assert notices(effects) == [NoticeKind.FORFEITED]
    assert made.stations[STREAM].kept.model == vector(100)


# --- a gateway that has lost what it passed on ---------------------------------------------------


@pytest.mark.parametrize(
    ("planned", "lost", "passed_on"), [(LIFE, 0, 7.0), (None, 0, 7.0), (LIFE - 1, 2, 0.0)]
)
def test_a_gateway_of_another_life_than_planned_passes_nothing_on(
    planned: int | None, lost: int, passed_on: float
) -> None:
    made = gateway(life=planned)
    copy = hop_in(comes(made, STREAM, 1, 1.0, model=vector(5)))[1].stream
    more, changes = copy.model + 2, copy.changes + 1
    comes(made, STREAM, copy.hop + 2, 2.0, model=more, visits=copy.visits, changes=changes)
    _, left = hop_in(comes(made, OTHER, 1, 3.0))
    assert left.stream.model == vector(passed_on)
    assert made.stations[STREAM].counters.lost_deposits == lost


def test_its_own_steps_get_to_all_regions_all_the_same() -> None:
    made = gateway(life=LIFE - 1)
    made.handle(steps(3), 0.5)
    lefts = [hop_in(comes(made, s, 1, 1.0, model=vector(5)))[1].stream for s in (STREAM, OTHER)]
    assert [left.model.item() for left in lefts] == [8, 8]


def test_in_one_region_any_life_will_do() -> None:
    streams = {STREAM: visiting(PATH), OTHER: visiting(PATH)}
    made = node_of(config(node_id=B, topology=PATH, streams=streams, life=LIFE - 1))
    assert made.stations[STREAM].account.deposit is not None
