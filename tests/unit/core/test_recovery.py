"""Stories that once ended badly, told with whole nodes: a regression test for each."""

from __future__ import annotations

import networkx as nx
import pytest

from flwr_digest.core.effects import NoticeKind, Send
from flwr_digest.core.events import MessageReceived, Timer, TimerFired, TimerKind
from flwr_digest.core.ids import Fence, NodeId, Order, StreamId
from flwr_digest.core.messages import Close, Hop, Inquiry
from flwr_digest.core.station import Station
from flwr_digest.core.stream import Stream
from tests.support.world import STREAM, World

A, B, C, D, E = map(NodeId, range(5))
LOST = Timer(kind=TimerKind.LOST, stream_id=STREAM)
ANSWERS = Timer(kind=TimerKind.ANSWERS, stream_id=STREAM)


def at(world: World, node: NodeId) -> Station:
    return world.nodes[node].stations[STREAM]


def newest(world: World) -> Stream:
    return max((at(world, node).kept for node in world.nodes), key=lambda kept: kept.order)


def go_on(world: World, events: int) -> None:
    """Deliver messages in order, and let time pass where there are none."""
    for _ in range(events):
        if world.under_way:
            world.deliver()
        else:
            world.fire_next_timer()


def check_end(world: World) -> None:
    assert world.all_forfeited() == 0
    world.work.check_end(list(world.nodes.values()))


def well_trained(world: World) -> World:
    """Let the stream make some tours among nodes that train."""
    for _ in range(60):
        for node in world.nodes:
            world.train(node, 1)
        go_on(world, 2)
    return world


def test_a_start_node_that_comes_back_twice_costs_nobody_its_work() -> None:
    world = World(graph=nx.path_graph(2))
    world.deliver()
    world.crash(A)
    world.train(B, 1)
    for _ in range(2):
        world.restart(A, with_state=True)
        world.deliver()
        world.crash(A)
    world.finish_session()
    check_end(world)


def test_an_empty_newcomer_does_not_undo_the_training() -> None:
    world = well_trained(World(graph=nx.cycle_graph(5)))
    world.crash(D)
    go_on(world, 80)
    world.restart(D, with_state=False)
    before = newest(world).model.sum()
    world.believe_lost(D)  # it has asked, and nobody has answered in time
    go_on(world, 60)
    assert newest(world).model.sum() >= before
    assert at(world, D).counters.reissues == 0
    world.finish_session()
    check_end(world)


def test_an_empty_newcomer_believes_a_neighbor_that_keeps_an_outranked_copy() -> None:
    world = well_trained(World(graph=nx.path_graph(3)))
    world.finish_session()
    world.next_session(nx.path_graph(4))  # D has only the initial model, and C for a neighbor
    world.cut(B, C)
    for node in (C, D):  # both have heard of a later fence, whose copy never comes
        at(world, node).copy.highest = Fence(9, A)
    world.happen(D, TimerFired(timer=LOST))
    while world.under_way:
        world.deliver()
    world.happen(D, TimerFired(timer=ANSWERS))
    assert at(world, D).counters.reissues == 0
    world.finish_session()
    check_end(world)


def test_members_that_leave_and_come_back_lose_no_work() -> None:
    world = World(graph=nx.cycle_graph(4))
    for members in ((A, B, C), (A, B, D, E), (A, B, C, D, E), (B, C)):
        well_trained(world).finish_session()
        check_end(world)
        world.next_session(nx.relabel_nodes(nx.path_graph(len(members)), dict(enumerate(members))))
    well_trained(world).finish_session()
    check_end(world)


def test_an_early_last_tour_does_not_close_before_a_node_that_still_trains() -> None:
    world = World(graph=nx.path_graph(3))
    world.cut(B, C)
    for node in (A, B):
        world.train(node, 2)
        world.finish(node)
    while not world.closing():
        go_on(world, 1)
    world.connect(B, C)
    go_on(world, 30)
    assert not any(node.closed for node in world.nodes.values())
    world.train(C, 5)
    world.finish_session()
    check_end(world)


def test_a_node_cut_off_while_the_others_end_closes_with_its_own_training() -> None:
    world = well_trained(World(graph=nx.path_graph(3)))
    world.cut(B, C)
    for node in (A, B):
        world.finish(node)
    while not world.nodes[B].closed:
        go_on(world, 1)
    world.connect(B, C)
    world.train(C, 50)
    go_on(world, 50)
    assert not world.nodes[C].closed
    world.finish(C)
    go_on(world, 50)
    assert world.nodes[C].closed


def test_links_that_come_up_late_leave_nobody_out() -> None:
    world = World(graph=nx.cycle_graph(5))
    for one, other in list(world.graph.edges)[1:]:
        world.cut(NodeId(one), NodeId(other))
    for node in world.members:
        world.train(node, 2)
        world.finish(node)
    while world.under_way:
        world.deliver()
    assert not any(node.closed for node in world.nodes.values())
    world.finish_session()
    check_end(world)


@pytest.mark.parametrize("count", [2, 3])
def test_whoever_misses_the_close_ends_when_the_others_have_left(count: int) -> None:
    world = well_trained(World(graph=nx.path_graph(count)))
    for node in world.members:
        world.finish(node)
    while not any(node.closed for node in world.nodes.values()):
        world.under_way = [w for w in world.under_way if not isinstance(w.message, Close)]
        go_on(world, 1)
    world.under_way.clear()
    for node in [node for node in world.nodes if world.nodes[node].closed]:
        world.crash(node)
    go_on(world, 100)
    assert all(node.closed for node in world.nodes.values())


def test_a_session_of_one_ends() -> None:
    graph: nx.Graph[int] = nx.Graph()
    graph.add_node(A)
    world = World(graph=graph)
    world.train(A, 3)
    world.finish_session()
    check_end(world)


def test_whoever_gave_up_alone_does_not_end_the_session_of_the_others() -> None:
    world = well_trained(World(graph=nx.path_graph(3), local_steps=1))
    while not at(world, A).held:
        for node in [node for node in world.nodes if at(world, node).held]:
            world.train(node, 1)
        while world.under_way:
            world.deliver()
    world.cut(B, C)
    world.finish(C)
    world.happen(C, TimerFired(timer=LOST))
    assert world.nodes[C].closed
    world.connect(B, C)
    world.believe_lost(B)  # it asks C
    while world.under_way:
        world.deliver()
    world.finish(B)
    assert not world.nodes[B].closed
    world.train(A, 4)
    world.finish_session()
    check_end(world)


def test_a_partition_that_lasts_costs_nobody_its_work() -> None:
    world = well_trained(World(graph=nx.path_graph(4)))
    world.cut(B, C)
    for _ in range(150):
        for node in world.nodes:
            world.train(node, 1)
        go_on(world, 3)
        world.fire_next_timer()
    assert NoticeKind.REISSUED.value in " ".join(world.log)
    assert world.capped
    world.connect(B, C)
    world.finish_session()
    check_end(world)


def test_a_last_tour_that_reaches_missing_members_after_all_ends_the_other_regions_too() -> None:
    """A gateway that has seen the last tour pass hears from its end only by the word to close."""
    world = World(graph=nx.path_graph(6), regions=2, seed=650)
    assert [sorted(plan.members) for plan in world.streams.values()] == [[0, 1, 2], [2, 3, 4, 5]]
    gateway, far = NodeId(2), NodeId(3)
    world.cut(far, NodeId(4))
    for node in world.members:
        world.finish(node)
    for _ in range(200):  # until the gateway's region does without the two behind the cut link
        if world.nodes[gateway].stations[StreamId(1)].kept.closing:
            break
        go_on(world, 1)
    world.connect(far, NodeId(4))
    world.finish_session(most_events=500)
    check_end(world)


def test_a_gateway_that_comes_back_empty_passes_nothing_on_twice() -> None:
    """It has told one region of the other's work, and no longer knows; nor may it start again."""
    world = World(graph=nx.path_graph(3), regions=2)
    assert [sorted(plan.members) for plan in world.streams.values()] == [[0, 1], [1, 2]]
    world.train(C, 1)
    go_on(world, 12)
    assert world.work.contained(at(world, A).kept, C, 1) == pytest.approx(1)
    world.crash(B)
    world.restart(B, with_state=False)
    for _ in range(3):
        world.train(C, 1)
        go_on(world, 12)  # in which every copy is checked
    assert world.all_forfeited() > 0  # and the user is told so
    world.finish_session()
    world.next_session()
    world.train(C, 1)
    world.finish_session()
    # The first, and that of the next session.
    assert world.work.contained(at(world, A).kept, C, 1) == pytest.approx(2)


def test_a_start_node_that_comes_back_empty_does_not_start_once_more() -> None:
    world = World(graph=nx.path_graph(3))
    go_on(world, 2)  # on its way to the others
    world.crash(A)
    world.restart(A, with_state=False)
    assert not at(world, A).held
    go_on(world, 20)
    assert newest(world).fence.generation == 1  # the first start's
    world.finish_session()
    check_end(world)


def test_word_of_the_end_is_passed_on_as_it_was_heard() -> None:
    """Whoever was not visited in this session knows of the end, but of no copy as new as that."""
    world = World(graph=nx.path_graph(3))
    heard = Close(stream_id=STREAM, order=Order(Fence(7, A), 9))
    station = at(world, B)
    world.finish(B)
    effects = station.receive(A, heard, frozenset({A, C}), world.now)
    [told] = [effect for effect in effects if isinstance(effect, Send)]
    assert (told.peer, told.message) == (C, heard)
    asked = station.receive(C, Inquiry(stream_id=STREAM), frozenset({A, C}), world.now)
    assert asked == [Send(peer=C, message=heard)]


def test_what_a_gateway_calls_back_it_tells_of_no_longer() -> None:
    """Some who were never visited begin anew: what they issue knows nothing of C's work."""
    world = World(graph=nx.path_graph(3), regions=2)
    first, second = (s for s in sorted(world.streams) if world.streams[s].shard == 0)
    near = first if C in world.streams[first].members else second
    far = second if near == first else first
    world.train(C, 3)
    while C not in world.nodes[B].stations[far].kept.visits:
        go_on(world, 1)
    anew = Stream(stream_id=near, model=world.initial, fence=Fence(9, C))
    world.happen(B, MessageReceived(peer=C, message=Hop(stream=anew)))
    world.finish_session()
    check_end(world)
