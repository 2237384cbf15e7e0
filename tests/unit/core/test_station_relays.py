"""A stream that passes through a node that it does not visit."""

from __future__ import annotations

from typing import Any

import networkx as nx

from flwr_digest.core.effects import Effect, Notice, NoticeKind, Rebase, Send, StreamClosed
from flwr_digest.core.events import (
    LinkDown,
    LinkUp,
    MessageReceived,
    Timer,
    TimerFired,
    TimerKind,
)
from flwr_digest.core.ids import NO_FENCE, Fence, NodeId, Order, link
from flwr_digest.core.invariants import check_station
from flwr_digest.core.messages import Close, Hop, Inquiry, Message, Receipt, Sighting
from flwr_digest.core.node import Node
from flwr_digest.core.stream import Tour
from tests.unit.core.builders import (
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
    topology_of,
    vector,
    visiting,
)

PATH = topology_of(nx.path_graph(3))
REGIONS = {STREAM: visiting({A, B}), OTHER: visiting({A, C})}
FROM_A = Tour(seen=frozenset({A}))


def relay(**fields: Any) -> Node:  # noqa: ANN401
    """Return node B, between A and C, whom the other stream visits and B not."""
    made = node_of(config(node_id=B, topology=PATH, streams=REGIONS, **fields))
    for peer in (A, C):
        made.handle(LinkUp(peer=peer), 0.0)
    return made


def hears(made: Node, peer: NodeId, message: Message, now: float = 1.0) -> list[Effect]:
    return made.handle(MessageReceived(peer=peer, message=message), now)


def passing(generation: int = 1, hops: int = 4, **fields: Any) -> Hop:  # noqa: ANN401
    """Return a copy of the other stream on its way from A."""
    given = {"stream_id": OTHER, "model": vector(5), "tour": FROM_A, **fields}
    return hop(generation, hops, node=A, **given)


def fired(made: Node, kind: TimerKind, now: float) -> list[Effect]:
    return made.handle(TimerFired(timer=Timer(kind=kind, stream_id=OTHER)), now)


def answer(made: Node) -> Message:
    (send,) = of_kind(Send, hears(made, C, Inquiry(stream_id=OTHER), 9.0))
    return send.message


def test_it_is_passed_on_without_a_visit() -> None:
    made = relay()
    effects = hears(made, A, passing())
    peer, left = hop_in(effects)
    assert peer == C
    assert (left.stream.model, left.stream.hop) == (vector(5), 5)
    assert left.stream.visits == {}
    assert (left.stream.tour, left.stream.finished) == (FROM_A, frozenset())
    assert of_kind(Rebase, effects) == []
    station = made.stations[OTHER]
    assert (station.counters.visits, station.counters.hops_sent) == (0, 1)
    check_station(station)


def test_it_gets_a_receipt_as_from_anyone() -> None:
    copy = passing()
    (receipt,) = [e.message for e in of_kind(Send, hears(relay(), A, copy)) if e.peer == A]
    newest = Order(copy.stream.fence, 0)
    assert receipt == Receipt(stream_id=OTHER, order=copy.stream.order, newest=newest)


def test_no_pace_holds_it() -> None:
    assert hop_in(hears(relay(local_steps=99), A, passing()))[0] == C


def test_the_relay_neither_ends_nor_delays_a_last_tour() -> None:
    copy = passing(closing=True, finished=frozenset({A, C}))
    _, left = hop_in(hears(relay(), A, copy))
    assert (left.stream.closing, left.stream.finished) == (True, frozenset({A, C}))


def test_a_copy_that_came_before_is_dropped() -> None:
    made = relay()
    hears(made, A, passing())
    assert [type(send.message) for send in of_kind(Send, hears(made, A, passing(), 2.0))] == [
        Receipt
    ]
    assert made.stations[OTHER].counters.stale_drops == 1


def test_its_own_streams_do_not_notice() -> None:
    made = relay()
    before = made.states
    hears(made, A, passing())
    assert made.states == before


def test_where_it_finds_no_way_on_it_is_brought_back_to_the_nearest_member() -> None:
    made = relay()
    made.handle(LinkDown(peer=C), 0.5)
    peer, left = hop_in(hears(made, A, passing()))
    assert peer == A
    assert left.stream.tour == Tour(dead_links=frozenset({link(B, C)}))  # A begins a tour with it
    assert left.stream.fence == Fence(1, A)  # a detour raises no fence


def test_without_any_link_it_waits_for_one() -> None:
    made = relay()
    hears(made, A, passing())
    made.handle(LinkDown(peer=A), 2.0)
    effects = made.handle(LinkDown(peer=C), 2.0)
    assert of_kind(Send, effects) == []
    peer, left = hop_in(made.handle(LinkUp(peer=C), 3.0))
    assert (peer, left.stream.model) == (C, vector(5))


def test_without_a_receipt_it_is_sent_again_and_then_another_way() -> None:
    made = relay(resends=1)
    hears(made, A, passing())
    effects = fired(made, TimerKind.RECEIPT, 4.0)
    assert [notice.kind for notice in of_kind(Notice, effects)] == [NoticeKind.RESENT]
    effects = fired(made, TimerKind.RECEIPT, 10.0)
    assert [notice.kind for notice in of_kind(Notice, effects)] == [NoticeKind.REROUTED]
    peer, left = hop_in(effects)
    assert (peer, left.stream.fence) == (A, Fence(2, B))


def test_whoever_is_no_member_misses_no_stream() -> None:
    made = relay()
    _, left = hop_in(hears(made, A, passing()))
    order = left.stream.order
    hears(made, C, Receipt(stream_id=OTHER, order=order, newest=order), 2.0)
    assert fired(made, TimerKind.LOST, 99.0) == []
    assert made.stations[OTHER].counters.reissues == 0


def test_a_relay_answers_for_the_copy_that_it_has_in_hand_alone() -> None:
    made = relay()
    nothing = Sighting(stream_id=OTHER, newest=Order(NO_FENCE, 0))
    assert answer(made) == nothing
    _, left = hop_in(hears(made, A, passing()))
    order = left.stream.order
    assert answer(made) == Sighting(stream_id=OTHER, newest=order)
    hears(made, C, Receipt(stream_id=OTHER, order=order, newest=order), 10.0)
    assert answer(made) == nothing  # it would not see to it that the copy comes back


def test_a_close_is_passed_on_through_others_once() -> None:
    made = relay()
    close = Close(stream_id=OTHER, order=Order(Fence(1, A), 9))
    effects = hears(made, A, close)
    assert [(e.peer, type(e.message)) for e in of_kind(Send, effects)] == [(C, Close)]
    assert of_kind(StreamClosed, effects) == []  # nobody here waits for its end
    assert hears(made, C, close, 2.0) == []
    assert not made.closed  # its own session goes on
