"""An invariant that cannot fail proves nothing: each one is broken here, and must say so."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import pytest

from flwr_digest.core.departure import Outbound
from flwr_digest.core.ids import Fence, NodeId
from flwr_digest.core.invariants import UnitWork, check_station
from flwr_digest.core.node import Node
from flwr_digest.core.station import Station
from flwr_digest.core.stream import Stream, Visit
from tests.support.world import STREAM, World
from tests.unit.core.builders import (
    LIFE,
    SHARD,
    TRIANGLE,
    A,
    B,
    applied,
    make_steps,
    put_account,
    station,
    stream,
    vector,
)

BOTH = frozenset(TRIANGLE) - {A}


def work_of_two() -> tuple[UnitWork, Stream]:
    """Return the work of two nodes, 3 steps and 1, and a copy that contains it."""
    work = UnitWork(size=2, weight=0.5)
    model = vector(0, 0)
    for node, made in ((A, 3), (B, 1)):
        work.begin(node, LIFE)
        for _ in range(made):
            model = model + work.weight * work.step(node, LIFE)
    visits = {
        A: Visit(life=LIFE, number=1, hop=1, steps=3),
        B: Visit(life=LIFE, number=1, hop=2, steps=1),
    }
    return work, stream(model=model, hop=2, visits=visits)


def visited() -> Station:
    """Return a station that the stream has visited and left."""
    made = station()
    made.start(BOTH, 0.0)
    make_steps(made, 2, BOTH, 0.1)
    check_station(made)
    return made


def ended(regions: int = 1) -> tuple[World, list[Node]]:
    """Return a world whose session has ended well."""
    world = World(graph=nx.path_graph(3), regions=regions)
    for node in world.members:
        world.train(node, 2)
    world.finish_session()
    world.work.check_end(list(world.nodes.values()))
    return world, list(world.nodes.values())


def test_a_sound_copy_passes() -> None:
    work, copy = work_of_two()
    work.check_copy(copy)


def test_a_step_counted_twice_is_seen() -> None:
    work, copy = work_of_two()
    for exact in (True, False):
        with pytest.raises(AssertionError, match="counted twice"):
            work.check_copy(replace(copy, model=copy.model + vector(0.5, 0)), exact=exact)


def test_a_part_of_a_step_counted_twice_is_seen() -> None:
    work, copy = work_of_two()
    with pytest.raises(AssertionError, match="counted twice"):
        work.check_copy(replace(copy, model=copy.model + vector(0, 0.01)))


def test_a_lost_step_is_seen() -> None:
    work, copy = work_of_two()
    with pytest.raises(AssertionError, match="lost"):
        work.check_copy(replace(copy, model=copy.model - vector(0, 0.5)))


def test_a_lost_step_may_be_where_work_was_forfeited() -> None:
    work, copy = work_of_two()
    work.check_copy(replace(copy, model=copy.model - vector(0, 0.5)), exact=False)


def test_a_claim_to_steps_that_nobody_made_is_seen() -> None:
    work, copy = work_of_two()
    visits = {**copy.visits, A: replace(copy.visits[A], steps=4)}
    with pytest.raises(AssertionError, match="3 made"):
        work.check_copy(replace(copy, visits=visits))


def test_more_applied_than_done_is_seen() -> None:
    made = visited()
    put_account(made, replace(made.account, steps=-1))
    with pytest.raises(AssertionError, match="more applied than done"):
        check_station(made)


def test_a_history_without_bound_is_seen() -> None:
    made = visited()
    entry = applied(0, 0, 0)
    put_account(made, replace(made.account, applied=dict.fromkeys(range(50), entry)))
    with pytest.raises(AssertionError, match="grows without bound"):
        check_station(made)


def test_a_copy_above_the_highest_fence_is_seen() -> None:
    made = visited()
    made.copy.stream = replace(made.kept, fence=Fence(99, A))
    with pytest.raises(AssertionError, match="outranks the highest fence"):
        check_station(made)


def test_a_stream_both_here_and_on_its_way_is_seen() -> None:
    made = visited()
    made.departure.outbound, made.held = Outbound(peer=B, attempts=1, sent_at=0.0), True
    with pytest.raises(AssertionError, match="both here and on its way"):
        check_station(made)


def test_a_visit_that_never_was_is_seen() -> None:
    made = visited()
    visit = Visit(life=LIFE, number=77, hop=1, steps=0)
    made.copy.stream = replace(made.kept, visits={A: visit})
    with pytest.raises(AssertionError, match="a visit that never was"):
        check_station(made)


def test_history_that_the_kept_copy_needs_and_is_gone_is_seen() -> None:
    made = visited()
    number = made.kept.last_visit(A).number
    later = {number + 1: made.account.applied[number]}
    put_account(made, replace(made.account, applied=later))
    with pytest.raises(AssertionError, match="history that is gone"):
        check_station(made)


def test_a_node_that_still_waits_at_the_end_is_seen() -> None:
    world, nodes = ended()
    nodes[0].stations[STREAM].ending.closed = False
    with pytest.raises(AssertionError, match="still awaits the stream"):
        world.work.check_end(nodes)


def test_two_live_copies_at_the_end_are_seen() -> None:
    world, nodes = ended()
    for node in nodes:
        node.stations[STREAM].held = True
    with pytest.raises(AssertionError, match="not one live copy"):
        world.work.check_end(nodes)


def test_work_left_out_at_the_end_is_seen() -> None:
    world, nodes = ended()
    world.train(NodeId(1), 1)
    nodes[1].shards[SHARD].bank(world.now)
    with pytest.raises(AssertionError, match="work of 1 was left out"):
        world.work.check_end(nodes)


def test_work_that_is_in_no_account_at_the_end_is_seen() -> None:
    world, nodes = ended()
    world.train(NodeId(1), 1)
    world.work.check_end(nodes, exact=False)
    with pytest.raises(AssertionError, match="steps of 1 never came"):
        world.work.check_end(nodes)


def test_work_of_another_region_that_never_came_is_seen() -> None:
    world, nodes = ended(regions=2)
    (region,) = [s for s, plan in world.streams.items() if NodeId(0) not in plan.members]
    of_node_0 = world.weight * world.work.step(NodeId(0), 1)  # one that it will not have made
    world.work.made[NodeId(0), 1] -= 1
    for part in (node.members[region] for node in nodes if region in node.members):
        visits = {node: v for node, v in part.kept.visits.items() if node != 0}  # it says nothing
        part.copy.stream = replace(part.kept, model=part.kept.model - of_node_0, visits=visits)
    with pytest.raises(AssertionError, match="steps of 0 never came"):
        world.work.check_end(nodes)


def test_whoever_only_relays_has_nothing_to_account_for() -> None:
    made = visited()
    number = made.kept.last_visit(A).number
    put_account(made, replace(made.account, applied={number + 1: made.account.applied[number]}))
    made.visits.shard = None
    check_station(made)


def test_a_life_left_out_at_the_end_is_seen() -> None:
    world, nodes = ended()
    part = nodes[2].stations[STREAM]
    put_account(part, replace(part.account, life=99))
    with pytest.raises(AssertionError, match="the last life of 2 was left out"):
        world.work.check_end(nodes)


def test_a_node_with_another_model_at_the_end_is_seen() -> None:
    world, nodes = ended()
    part = min((node.stations[STREAM] for node in nodes), key=lambda part: part.kept.order)
    part.copy.stream = replace(part.kept, model=part.kept.model + 1)
    with pytest.raises(AssertionError, match="ended with another model"):
        world.work.check_end(nodes)
