"""A node that is much slower than the others holds a stream no longer than they would."""

from __future__ import annotations

from typing import Any

import networkx as nx

from flwr_digest.core.effects import AwaitSteps, Effect, SetTimer
from flwr_digest.core.events import TimerKind
from flwr_digest.core.ids import NodeId
from flwr_digest.core.station import Station
from flwr_digest.core.stream import Stream, Tour, Visit
from flwr_digest.core.usual import Usual
from tests.unit.core.builders import (
    LAST,
    LIFE,
    B,
    C,
    config,
    hop,
    hop_in,
    make_steps,
    of_kind,
    station,
    stream,
    topology_of,
)

ALL = frozenset({B, C})
D, E = NodeId(3), NodeId(4)
FIVE = topology_of(nx.complete_graph(5))
PACE = 10


def visits(steps: dict[NodeId, int], hop: int = 1) -> dict[NodeId, Visit]:
    return {node: Visit(life=LIFE, number=hop, hop=hop, steps=made) for node, made in steps.items()}


def usual(before: dict[NodeId, int] | None = None, **fields: Any) -> Usual:  # noqa: ANN401
    """Return what node A knows to whom a stream came back that had left it at 2 s."""
    made = Usual(config=config(topology=FIVE, local_steps=PACE, **fields))
    made.begin(stream(visits=visits(before or {})), 2.0)
    return made


def told(steps: dict[NodeId, int], **fields: Any) -> Stream:  # noqa: ANN401
    return stream(visits=visits(steps, hop=2), **fields)


def pace_of(effects: list[Effect]) -> list[float]:
    return [e.at for e in of_kind(SetTimer, effects) if e.timer.kind is TimerKind.PACE]


def slow(**fields: Any) -> Station:  # noqa: ANN401
    """Return A's station for a stream that starts at B, and that a tour brings at 4 s."""
    made = station(start=B, local_steps=PACE, **fields)
    made.start(ALL, 0.0)
    return made


# --- how long -------------------------------------------------------------------------------------


def test_it_is_held_as_long_as_most_others_take_for_the_pace() -> None:
    found = usual({B: 3, C: 3, D: 3, E: 3}).until(told({B: 8, C: 8, D: 8, E: 99}), 0, 1.0, 3.0)
    assert found == 2.0 + 10 / 5  # 5 steps in 1 s; one that is very fast makes no difference


def test_who_is_half_as_fast_as_most_keeps_the_pace_itself_in_twice_its_time() -> None:
    assert usual().until(told({B: 9, C: 9, D: 9, E: 9}), 4, 1.0, 3.0) == 2.0 + 4 * 10 / 9
    assert usual().until(told({B: 9, C: 9, D: 9, E: 9}), 3, 1.0, 3.0) == 2.0 + 10 / 9


def test_where_all_are_slow_each_keeps_the_pace_itself() -> None:
    made = usual()
    assert made.until(told({B: 1, C: 0, D: 1, E: 2}), 1, 1.0, 60.0) == 2.0 + 4 * 58.0 * 10 / 1
    assert made.keeps_up(1)


def test_who_is_not_slow_has_the_wait_of_a_receipt_at_least() -> None:
    assert usual().until(told({B: 9, C: 9, D: 9, E: 9}), 9, 60.0, 3.0) == 63.0


def test_who_was_not_visited_meanwhile_tells_nothing() -> None:
    before = {B: 3, C: 3, D: 3, E: 3}
    copy = stream(visits=visits(before) | visits({B: 8}, hop=2))
    assert usual(before).until(copy, 0, 1.0, 3.0) == 4.0


def test_another_life_counts_from_its_own_beginning() -> None:
    lives = {B: Visit(life=LIFE + 1, number=1, hop=2, steps=5)}
    assert usual({B: 900}).until(stream(visits=lives), 0, 1.0, 3.0) == 4.0


def test_where_nobody_is_known_to_have_made_a_step_it_is_held_as_long_as_it_was_away() -> None:
    assert usual().until(told({B: 0, C: 0}), 0, 1.0, 12.0) == 22.0
    assert usual().until(told({}), 0, 1.0, 2.0) == 3.0


def test_whoever_has_finished_is_no_measure() -> None:
    copy = told({B: 8, C: 8, D: 0, E: 0}, finished=frozenset({D, E}))
    assert usual().until(copy, 0, 1.0, 3.0) == 2.0 + 10 / 8
    everyone = told({B: 8, C: 8, D: 8, E: 8}, finished=frozenset({B, C, D, E}))
    assert usual().until(everyone, 0, 1.0, 3.0) is None


def test_a_stay_is_judged_by_what_was_known_as_it_began() -> None:
    made = usual()
    copy = told({B: 9, C: 9, D: 9, E: 9})
    first = made.until(copy, 0, 1.0, 3.0)
    assert made.until(copy, 0, 1.0, 30.0) == first
    made.renew()
    assert made.until(copy, 0, 1.0, 30.0) != first


def test_a_step_made_meanwhile_may_show_that_it_is_not_slow() -> None:
    made = usual()
    assert made.until(told({}), 0, 1.0, 3.0) == 4.0
    assert made.until(told({}), 1, 1.0, 3.5) is None


def test_one_that_was_not_visited_since_it_left_is_not_taken_for_faster() -> None:
    """Two nodes as fast as each other, and a stream that goes back and forth between them."""
    made = usual()
    made.left(told({}), 10, 12.0)  # B, never visited yet, has made as many
    made.until(told({B: 11, C: 11, D: 11, E: 11}), 11, 1.0, 13.0)
    assert made.keeps_up(11)


def test_who_becomes_slow_is_found_out() -> None:
    made = usual()
    for tours in (1, 2):
        made.left(told(dict.fromkeys((B, C, D, E), 10 * tours)), 10 * tours, 2.0 + 10 * tours)
    copy = told(dict.fromkeys((B, C, D, E), 60))  # 50 since the stream left at 12 s
    made.until(copy, 24, 1.0, 62.0)
    assert made.keeps_up(24)  # 24 beside 50, from one mark earlier
    made.renew()
    assert made.until(copy, 23, 1.0, 62.0) == 22.0 + 50.0 * PACE / 50
    assert not made.keeps_up(23)


def test_a_node_that_stays_slow_never_holds_the_stream_for_its_own_steps() -> None:
    """Short tours: the others make as many steps in one as this node in a hundred."""
    made, now, steps = usual(), 2.0, 0
    for _ in range(1, 40):
        steps = max(steps, int(now / 12.0))
        now += 0.5  # of the tour
        until = made.until(told(dict.fromkeys((B, C, D, E), int(10 * now))), steps, 1.0, now)
        assert until is not None
        assert until - now <= 2.0
        now = max(now, until)
        made.left(told(dict.fromkeys((B, C, D, E), int(10 * now))), steps, now)
        made.renew()


def test_training_that_stands_still_while_the_stream_is_here_does_not_keep_it() -> None:
    made = slow()
    make_steps(made, 5, ALL, 2.0)
    effects = made.receive(B, hop(1, 4, tour=LAST, visits=visits({B: 10, C: 10})), ALL, 4.0)
    # Since 0 s most others have made the pace's 10 steps in 4 s.
    assert pace_of(effects) == [4 * 4.0]
    hop_in(made.timer_fired(TimerKind.PACE, ALL, 16.0))


# --- in its place ---------------------------------------------------------------------------------


def test_where_a_tour_ends_a_slow_node_lets_the_stream_go_when_others_would() -> None:
    made = slow()
    arrived = hop(1, 4, tour=LAST, visits=visits({B: 5, C: 5}))
    effects = made.receive(B, arrived, ALL, 4.0)
    assert pace_of(effects) == [8.0]
    assert len(of_kind(AwaitSteps, effects)) == 1  # should it make them after all
    assert made.held
    hop_in(made.timer_fired(TimerKind.PACE, ALL, 8.0))
    assert not made.held


def test_a_slow_node_that_has_held_it_long_enough_lets_it_go_at_once() -> None:
    arrived = hop(1, 4, tour=LAST, visits=visits({B: 20, C: 20}))
    hop_in(slow().receive(B, arrived, ALL, 4.0))


def test_a_node_that_makes_its_steps_in_time_lets_it_go_then() -> None:
    made = slow()
    made.receive(B, hop(1, 4, tour=LAST, visits=visits({B: 5, C: 5})), ALL, 4.0)
    hop_in(make_steps(made, PACE, ALL, 5.0))
    assert made.timer_fired(TimerKind.PACE, ALL, 8.0) == []


def test_where_it_starts_it_is_not_held_for_long_before_anything_is_known() -> None:
    made = station(local_steps=PACE, first_receipt_seconds=3.0)
    assert pace_of(made.start(ALL, 1.0)) == [4.0]
    hop_in(made.timer_fired(TimerKind.PACE, ALL, 4.0))


def test_what_was_told_counts_from_when_the_stream_last_left() -> None:
    made = slow()
    made.receive(B, hop(1, 4, visits=visits({B: 5, C: 5})), ALL, 4.0)  # goes on to C at once
    later = visits({B: 9, C: 9}, hop=7)
    effects = made.receive(C, hop(1, 9, tour=Tour(seen=ALL), visits=later), ALL, 6.0)
    assert pace_of(effects) == [4.0 + 6.0 * PACE / 9]  # it left at 4 s; 9 steps took 6 s
