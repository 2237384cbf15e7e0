"""A held stream: what is decided about it, before anyone carries it out."""

from __future__ import annotations

from typing import Any

import networkx as nx

from flwr_digest.core.decision import Decision, Leave, Then, wait
from flwr_digest.core.effects import AwaitSteps, Rebase, SetTimer
from flwr_digest.core.events import TimerKind
from flwr_digest.core.holding import Holding
from flwr_digest.core.ids import NO_FENCE, Fence, NodeId, link
from flwr_digest.core.station import Station
from flwr_digest.core.stream import Tour
from tests.unit.core.builders import (
    LAST,
    OTHER,
    SHARD,
    STREAM,
    TRIANGLE,
    A,
    B,
    C,
    config,
    node_of,
    of_kind,
    steps,
    stream,
    topology_of,
    visiting,
)

ALL, ONLY_B = frozenset({B, C}), frozenset({B})
NOBODY: frozenset[NodeId] = frozenset()
PATH = topology_of(nx.path_graph(3))
EVERYONE = frozenset(TRIANGLE)


def holding(*, trained: bool = False, copy: dict[str, Any] | None = None, **fields: Any) -> Holding:  # noqa: ANN401
    """Return what decides at A (or where `fields` say) about a copy that has just come."""
    node = node_of(config(**fields))
    node.shards[SHARD].trained = trained
    made = node.stations[STREAM].holding
    made.arrived()
    made.visits.settle(stream(hop=4, **(copy or {})), 0.0)
    return made


def timer(decision: Decision) -> tuple[TimerKind, float]:
    (found,) = of_kind(SetTimer, decision.effects)
    return found.timer.kind, found.at


def test_it_goes_to_who_was_not_seen() -> None:
    decision = holding(copy={"tour": Tour(seen=ONLY_B)}).decide(ALL, 1.0)
    assert decision == Decision(then=Leave(peer=C, tour=Tour(seen=frozenset({A, B}))))


def test_an_outranked_copy_goes_nowhere() -> None:
    made = holding()
    made.copy.heard_of(Fence(9, C))
    assert made.decide(ALL, 1.0) == Decision(then=Then.AWAIT)


def test_where_a_tour_ends_the_pace_holds_it_before_it_begins_another() -> None:
    made = holding(local_steps=3, copy={"tour": LAST})
    first = made.decide(ALL, 1.0)  # whether this node is slow is not known before its first step
    assert of_kind(AwaitSteps, first.effects) == [AwaitSteps(stream_id=STREAM, more_steps=1)]
    assert made.copy.stream.tour.seen == {A}
    assert made.visits.shard is not None
    made.visits.shard.take_in(steps(1))
    assert made.decide(ALL, 1.5) == wait(AwaitSteps(stream_id=STREAM, more_steps=2))
    made.visits.shard.take_in(steps(2))
    decision = made.decide(ALL, 2.0)
    assert isinstance(decision.then, Leave)
    assert [rebase.model.item() for rebase in of_kind(Rebase, decision.effects)] == [3]


def test_the_last_tour_begins_when_all_that_were_seen_have_finished() -> None:
    made = holding(trained=True, copy={"tour": LAST, "finished": ALL})
    assert isinstance(made.decide(ALL, 1.0).then, Leave)
    assert made.copy.stream.closing


def test_where_the_last_tour_ends_the_session_does() -> None:
    made = holding(trained=True, copy={"tour": LAST, "finished": EVERYONE, "closing": True})
    assert made.decide(ALL, 1.0) == Decision(then=Then.CLOSE)


def test_before_the_last_tour_it_waits_once_for_members_out_of_reach() -> None:
    tour = Tour(seen=ONLY_B, dead_links=frozenset({link(B, C)}))
    copy = {"tour": tour, "finished": ONLY_B}
    made = holding(trained=True, copy=copy, first_lost_seconds=5.0)
    assert timer(made.decide(ONLY_B, 1.0)) == (TimerKind.MISSING, 6.0)
    assert timer(made.decide(ONLY_B, 2.0)) == (TimerKind.MISSING, 6.0)
    assert isinstance(made.decide(ONLY_B, 6.0).then, Leave)


def test_members_out_of_reach_are_waited_for_once_whichever_copy_comes() -> None:
    """Else a node that holds the stream holds whatever others issue instead, for ever."""
    tour = Tour(seen=ONLY_B, dead_links=frozenset({link(B, C)}))
    copy = {"tour": tour, "finished": ONLY_B}
    made = holding(trained=True, copy=copy, first_lost_seconds=5.0)
    assert timer(made.decide(ONLY_B, 1.0)) == (TimerKind.MISSING, 6.0)
    made.arrived()
    made.visits.settle(stream(hop=4, fence=Fence(3, B), **copy), 4.0)
    assert timer(made.decide(ONLY_B, 4.0)) == (TimerKind.MISSING, 6.0)
    assert isinstance(made.decide(ONLY_B, 6.0).then, Leave)


def test_a_last_tour_that_missed_someone_waits_once_and_goes_round_again() -> None:
    tour = Tour(seen=ONLY_B, dead_links=frozenset({link(B, C)}))
    copy = {"tour": tour, "finished": EVERYONE, "closing": True}
    made = holding(trained=True, copy=copy, first_lost_seconds=5.0)
    assert timer(made.decide(ONLY_B, 1.0)) == (TimerKind.MISSING, 6.0)
    assert isinstance(made.decide(ONLY_B, 6.0).then, Leave)
    assert made.copy.stream.closing
    assert made.copy.stream.tour.seen == {A}


def test_a_last_tour_ends_without_who_was_given_up_before_it_began() -> None:
    tour = Tour(seen=ONLY_B, dead_links=frozenset({link(B, C)}))
    copy = {"tour": tour, "finished": frozenset({A, B}), "closing": True}
    assert holding(trained=True, copy=copy).decide(ONLY_B, 1.0) == Decision(then=Then.CLOSE)


def test_without_a_link_it_waits_and_gives_up_once_there_is_nothing_left_to_do() -> None:
    assert holding().decide(NOBODY, 1.0) == wait()
    made = holding(trained=True, first_lost_seconds=5.0)
    assert timer(made.decide(NOBODY, 1.0)) == (TimerKind.MISSING, 6.0)
    assert made.decide(NOBODY, 6.0) == Decision(then=Then.GIVE_UP)


def test_a_stream_that_has_left_may_wait_again_next_time() -> None:
    made = holding(trained=True, first_lost_seconds=5.0)
    made.decide(NOBODY, 1.0)
    made.left()
    assert timer(made.decide(NOBODY, 10.0)) == (TimerKind.MISSING, 15.0)


def test_who_is_no_member_brings_it_back_when_it_finds_no_way_on() -> None:
    streams = {STREAM: visiting({A, C}), OTHER: visiting({A, B})}
    plan = config(node_id=B, topology=PATH, streams=streams)
    made = Station(plan, STREAM, stream(), NO_FENCE, None).holding
    made.visits.settle(stream(hop=4, tour=Tour(seen=frozenset({A}))), 0.0)
    dead = frozenset({link(B, C)})
    back = Decision(then=Leave(peer=A, tour=Tour(dead_links=dead)))
    assert made.decide(frozenset({A}), 1.0) == back
