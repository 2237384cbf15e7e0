"""Random walks at a station: where the stream goes while nodes train, and that tours end it."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pytest

from flwr_digest.core.effects import AwaitSteps
from flwr_digest.core.ids import NodeId
from flwr_digest.core.station import Station
from flwr_digest.core.stream import Tour, Visit
from flwr_digest.core.walk import Walk
from tests.unit.core.builders import (
    LIFE,
    OTHER,
    STREAM,
    TRIANGLE,
    A,
    B,
    C,
    config,
    end_training,
    hop,
    hop_in,
    make_steps,
    node_of,
    of_kind,
    station,
    topology_of,
    visiting,
)

ALL = frozenset({B, C})
STAR = topology_of(nx.star_graph(4))
LEAF, CENTER = NodeId(3), NodeId(0)
ONLY_CENTER = frozenset({CENTER})
SEEN_B = Tour(seen=frozenset({B}))


def elsewhere(walk: Walk, **fields: Any) -> Station:  # noqa: ANN401
    made = station(start=B, walk=walk, **fields)
    made.start(ALL, 0.0)
    return made


def ways(walk: Walk, **fields: Any) -> set[NodeId]:  # noqa: ANN401
    """Return where the stream goes that has been at B, at many hops."""
    made, found = elsewhere(walk), set()
    for turn in range(1, 40):
        peer, _ = hop_in(made.receive(B, hop(1, 10 * turn, tour=SEEN_B, **fields), ALL, turn))
        found.add(peer)
    return found


def test_a_random_walk_goes_back_to_nodes_that_it_has_seen() -> None:
    assert ways(Walk.TOUR) == {C}
    assert ways(Walk.RANDOM) == {B, C}


def test_a_last_tour_is_a_tour() -> None:
    made = elsewhere(Walk.RANDOM)
    end_training(made, ALL, 0.5)
    everyone = frozenset(TRIANGLE)
    for turn in range(1, 20):
        copy = hop(1, 10 * turn, tour=SEEN_B, closing=True, finished=everyone)
        assert hop_in(made.receive(B, copy, ALL, turn))[0] == C


@pytest.mark.parametrize("walk", [Walk.RANDOM, Walk.METROPOLIS])
def test_whoever_has_finished_training_sends_on_by_tour(walk: Walk) -> None:
    made = elsewhere(walk)
    end_training(made, ALL, 0.5)
    found = {
        hop_in(made.receive(B, hop(1, 10 * turn, tour=SEEN_B), ALL, turn))[0]
        for turn in range(1, 40)
    }
    assert found == {C}


def test_a_random_walk_uses_live_links_alone() -> None:
    made = elsewhere(Walk.RANDOM)
    only_c = frozenset({C})
    found = {hop_in(made.receive(B, hop(1, 10 * turn), only_c, turn))[0] for turn in range(1, 20)}
    assert found == {C}


def at_a_leaf(**fields: Any) -> Station:  # noqa: ANN401
    """Return a station of a node whose one neighbor has four; a Metropolis walk mostly stays."""
    made = station(node_id=LEAF, topology=STAR, start=CENTER, walk=Walk.METROPOLIS, **fields)
    made.start(ONLY_CENTER, 0.0)
    return made


def stays(made: Station, turn: int) -> int:
    """Return how many steps the node must make until a copy that comes leaves it."""
    made.receive(CENTER, hop(1, 10 * turn), ONLY_CENTER, float(turn))
    count = 0
    while made.held:
        make_steps(made, 1, ONLY_CENTER, float(turn))
        count += 1
    return count


def test_a_metropolis_walk_stays_one_local_step_each_time() -> None:
    made = at_a_leaf()
    counts = [stays(made, turn) for turn in range(1, 400)]
    assert 0 in counts
    assert sum(counts) / len(counts) == pytest.approx(3, abs=0.6)  # it goes with one chance in 4


def test_a_walk_that_stays_asks_for_one_more_step() -> None:
    made = at_a_leaf()
    turn = next(turn for turn in range(1, 99) if stays(made, turn) > 1)
    again = at_a_leaf()
    effects = again.receive(CENTER, hop(1, 10 * turn), ONLY_CENTER, 1.0)
    assert of_kind(AwaitSteps, effects) == [AwaitSteps(stream_id=STREAM, more_steps=1)]
    effects = make_steps(again, 1, ONLY_CENTER, 2.0)
    assert of_kind(AwaitSteps, effects) == [AwaitSteps(stream_id=STREAM, more_steps=1)]


def test_the_end_of_training_ends_the_stay() -> None:
    made = at_a_leaf()
    turn = next(turn for turn in range(1, 99) if stays(made, turn) > 1)
    again = at_a_leaf()
    again.receive(CENTER, hop(1, 10 * turn), ONLY_CENTER, 1.0)
    assert again.held
    assert hop_in(end_training(again, ONLY_CENTER, 2.0))[0] == CENTER


def test_the_pace_is_kept_before_the_walk_chooses() -> None:
    made = at_a_leaf(local_steps=6)
    make_steps(made, 1, ONLY_CENTER, 0.5)
    effects = made.receive(CENTER, hop(1, 10), ONLY_CENTER, 1.0)
    assert of_kind(AwaitSteps, effects) == [AwaitSteps(stream_id=STREAM, more_steps=5)]


@pytest.mark.parametrize("walk", [Walk.RANDOM, Walk.METROPOLIS])
def test_where_no_neighbor_is_a_member_it_goes_to_the_nearest_one(walk: Walk) -> None:
    path = topology_of(nx.path_graph(3))
    streams = {STREAM: visiting({A, C}, start=C), OTHER: visiting({A, B})}
    made = node_of(config(topology=path, streams=streams, walk=walk)).stations[STREAM]
    only_b = frozenset({B})
    made.start(only_b, 0.0)
    assert hop_in(made.receive(B, hop(1, 4, node=C), only_b, 1.0))[0] == B


def test_a_slow_leaf_of_a_large_star_may_stay_a_thousand_times_at_once() -> None:
    star = topology_of(nx.star_graph(127))
    node = NodeId(5)
    others = {each: Visit(life=LIFE, number=1, hop=1, steps=100) for each in star if each != node}
    for seed in range(60):
        made = station(node_id=node, topology=star, start=CENTER, walk=Walk.METROPOLIS, seed=seed)
        made.start(ONLY_CENTER, 0.0)
        assert (
            hop_in(made.receive(CENTER, hop(1, 9, visits=others), ONLY_CENTER, 10.0))[0] == CENTER
        )
