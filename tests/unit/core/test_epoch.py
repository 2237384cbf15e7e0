"""A new epoch: what is carried over, and that no step is counted twice or lost by that."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from flwr_digest.core.account import Account, contribute, own_part, pass_on, settle
from flwr_digest.core.epoch import Told, carried_over, contents_of, fullest
from flwr_digest.core.ids import Fence, NodeId, ShardId, StreamId
from flwr_digest.core.state import StationState, first_state, reopened
from flwr_digest.core.stream import Stream, Visit, told_by_steps
from tests.support.world import World
from tests.unit.core.builders import LIFE, A, B, C, cargo, stream, train, vector

LEFT, RIGHT, NEXT = map(StreamId, (0, 1, 0))
MEMBERS = (A, B, C)


def state(account: Account, kept: Stream) -> StationState:
    return StationState(account=account, kept=kept, highest=kept.fence)


def visited(account: Account, copy: Stream) -> tuple[Account, Stream]:
    settlement = settle(account, copy, A, MEMBERS)
    return settlement.account, settlement.stream


def gateway() -> dict[StreamId, StationState]:
    """Return what a gateway keeps after 3 local steps, and news of 100 that it has passed on."""
    opened = first_state(LEFT, vector(0), LIFE).account
    left, right = train(opened, 2), train(opened, 2)
    left, of_left = visited(left, stream(stream_id=LEFT))
    right = pass_on(right, cargo(100))
    right, of_right = visited(right, stream(stream_id=RIGHT, visits={B: by_steps(B, 100)}))
    left, right = train(left, 1), train(right, 1)
    return {LEFT: state(left, of_left), RIGHT: state(right, of_right)}


def by_steps(node: NodeId, steps: int) -> Visit:
    return Visit(life=LIFE, number=7, hop=5, steps=steps)


def test_contents_are_the_nodes_that_a_copy_contains_work_of() -> None:
    copy = stream(visits={B: by_steps(B, 3), A: by_steps(A, 0)})
    assert contents_of(copy) == {B: Told(LIFE, 3)}


def test_the_fullest_copy_has_most_steps_then_is_the_newest() -> None:
    kept = gateway()
    assert fullest(kept) is kept[RIGHT].kept
    newer = replace(kept[LEFT].kept, fence=Fence(9, B))
    older = replace(kept[LEFT].kept, stream_id=RIGHT)
    pair = {LEFT: state(kept[LEFT].account, newer), RIGHT: state(kept[LEFT].account, older)}
    assert fullest(pair) is newer


def test_of_a_gateway_only_its_own_steps_are_carried_over() -> None:
    after = carried_over(gateway(), NEXT, A)
    assert after.account.steps == 3
    assert after.account.inflow.model - after.account.applied[2].inflow.model == vector(1)
    assert after.account.applied[2].inflow.model - after.account.applied[0].inflow.model == 2
    settled = settle(after.account, after.kept, A, MEMBERS)
    assert settled.stream.model == vector(103)  # 3 steps of its own, 100 that the copy had
    assert (settled.forfeited_steps, settled.stream.last_visit(A).steps) == (0, 3)


def test_histories_with_other_constants_fit_together() -> None:
    kept = gateway()
    right = kept[RIGHT].account
    off = cargo(2)
    shifted = replace(
        right,
        inflow=right.inflow - off,
        own=None if right.own is None else right.own - off,
        applied={
            n: replace(e, inflow=e.inflow - off, own=None if e.own is None else e.own - off)
            for n, e in right.applied.items()
        },
    )
    states = {**kept, RIGHT: replace(kept[RIGHT], account=shifted)}
    account = carried_over(states, NEXT, A).account
    totals = {steps: float(own_part(entry)[0]) for steps, entry in account.applied.items()}
    assert totals == {0: 0.0, 2: 2.0}


def test_a_copy_of_any_age_gets_what_it_lacks() -> None:
    account = carried_over(gateway(), NEXT, A).account
    for steps in (0, 2):
        copy = stream(model=vector(steps), visits={A: told_by_steps(by_steps(A, steps))})
        settled = settle(account, copy, A, MEMBERS)
        assert (settled.stream.model, settled.forfeited_steps) == (vector(3), 0)


def test_a_copy_that_another_node_kept_gets_it_after_a_visit_of_the_first_one() -> None:
    account = carried_over(gateway(), NEXT, A).account
    first = stream(model=vector(2), visits={A: told_by_steps(by_steps(A, 2))}, fence=Fence(9, B))
    account, _ = visited(account, first)
    older = stream(model=vector(0), fence=Fence(10, C))
    settled = settle(account, older, A, MEMBERS)
    assert (settled.stream.model, settled.forfeited_steps) == (vector(3), 0)


def test_where_a_number_is_no_longer_remembered_steps_up_to_the_next_are_given_up() -> None:
    account = carried_over(gateway(), NEXT, A).account
    copy = stream(model=vector(1), visits={A: told_by_steps(by_steps(A, 1))})
    settled = settle(account, copy, A, MEMBERS)
    assert (settled.stream.model, settled.forfeited_steps) == (vector(2), 1)  # 1 and the third
    later = replace(account, applied={0: account.applied[0]})
    settled = settle(later, copy, A, MEMBERS)
    assert (settled.stream.model, settled.forfeited_steps) == (vector(1), 3)  # at most


def test_a_gateway_passes_on_only_what_comes_on_top() -> None:
    after = carried_over(gateway(), NEXT, A)
    assert after.account.deposit == cargo(100)  # the copy less the 2 own steps that are in it


@pytest.mark.parametrize(("life", "known"), [(LIFE - 1, 102), (LIFE + 1, None)])
def test_what_a_copy_of_another_life_contains(life: int, known: float | None) -> None:
    kept = gateway()
    visits = {A: Visit(life=life, number=1, hop=1, steps=2), B: by_steps(B, 100)}
    copy = replace(kept[RIGHT].kept, visits=visits)
    after = carried_over({RIGHT: replace(kept[RIGHT], kept=copy)}, NEXT, A)
    assert after.account.deposit == (None if known is None else cargo(known))


def test_who_has_lost_its_state_begins_with_nothing_given() -> None:
    kept = {s: reopened(each, LIFE + 1) for s, each in gateway().items()}
    after = carried_over(kept, NEXT, A)
    assert (after.account.life, after.account.steps, list(after.account.applied)) == (
        LIFE + 1, 0, [0],
    )  # fmt: skip
    settled = settle(contribute(after.account, cargo(5), 5), after.kept, A, MEMBERS)
    assert (settled.stream.model, settled.forfeited_steps) == (vector(107), 0)


def test_the_highest_fence_is_that_of_any_stream() -> None:
    kept = gateway()
    kept[LEFT] = replace(kept[LEFT], highest=Fence(9, B))
    assert carried_over(kept, NEXT, A).highest == Fence(9, B)


# --- whole sessions -----------------------------------------------------------------------------


def path(*nodes: int) -> nx.Graph[int]:
    graph: nx.Graph[int] = nx.relabel_nodes(nx.path_graph(len(nodes)), dict(enumerate(nodes)))
    return graph


def toured(world: World, rounds: int) -> World:
    """Let all nodes train, and streams go around meanwhile."""
    for _ in range(rounds):
        for node in list(world.nodes):
            world.train(node, 2)
        for _ in range(min(len(world.under_way), 12)):
            world.deliver(0)
        if not world.under_way:
            world.fire_next_timer()
    return world


def ended(world: World) -> World:
    world.finish_session()
    world.work.check_end(list(world.nodes.values()), exact=not world.all_forfeited())
    return world


@pytest.mark.parametrize("shards", [1, 2])
def test_a_gateway_that_goes_after_a_session_leaves_all_its_work(shards: int) -> None:
    world = ended(toured(World(graph=path(0, 1, 2, 3, 4), regions=2, shards=shards), 20))
    world.next_session(path(0, 1, 3, 4), regions=2)
    assert (world.epoch, world.regions) == (1, 2)
    ended(toured(world, 20))
    model = world.nodes[NodeId(0)].stations[StreamId(0)].kept
    assert world.work.contained(model, NodeId(2), 1) == world.work.made[NodeId(2), 1]
    assert world.all_forfeited() == 0


def test_a_new_node_has_the_same_model_after_a_session_with_one_region() -> None:
    world = ended(toured(World(graph=path(0, 1, 2, 3), regions=2), 20))
    world.next_session(path(0, 1, 2, 3, 4), regions=2)
    assert world.regions == 1
    ended(toured(world, 20))
    world.next_session(path(0, 1, 2, 3, 4), regions=2)
    assert world.regions == 2
    ended(toured(world, 20))
    assert world.all_forfeited() == 0


def test_two_sides_of_a_gateway_that_was_lost_in_a_session_come_together() -> None:
    """What both sides have learned since is in the model; little is given up, and it is counted."""
    world = toured(World(graph=path(0, 1, 2, 3, 4, 5, 6), regions=2), 20)
    (lost,) = (n for n, node in world.nodes.items() if len(node.members) > 1)
    world.crash(lost)
    toured(world, 60)
    rest = [node for node in range(7) if node != lost]
    world.next_session(path(*rest), regions=2)
    assert world.regions == 1
    before = {node: world.work.made[NodeId(node), 1] for node in rest}
    ended(world)
    model = world.nodes[NodeId(rest[0])].stations[StreamId(0)].kept
    missing = sum(before[n] - world.work.contained(model, NodeId(n), 1) for n in rest)
    assert -1e-3 <= missing <= world.all_forfeited() + 1e-3
    assert missing <= 0.05 * sum(before.values())
    world.next_session(path(*rest), regions=2)
    assert world.regions == 2
    ended(toured(world, 20))


def test_shards_and_models_of_a_world_are_whole() -> None:
    world = ended(toured(World(graph=path(0, 1, 2), regions=2), 10))
    world.next_session(path(0, 2), regions=1)
    assert {s: len(m) for s, m in world.models[NodeId(0)].items()} == {ShardId(0): world.work.size}
    assert np.isfinite(world.models[NodeId(0)][ShardId(0)]).all()
