"""From hellos to plans: everyone gets what they need, and nothing about anyone else."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from flwr_digest.core.config import StreamPlan
from flwr_digest.core.ids import NO_FENCE, Fence, NodeId, Order, ShardId, StreamId
from flwr_digest.core.plan import Hello, Plan
from flwr_digest.core.walk import Walk
from flwr_digest.errors import ConfigError
from flwr_digest.strategies.epochs import Epoch
from flwr_digest.strategies.options import Options
from flwr_digest.strategies.planning import (
    FENCES_A_SESSION,
    freshest,
    make_plans,
    plan_streams,
)
from flwr_digest.topology.regions import check_regions

NODES = [NodeId(node) for node in (3, 5, 8, 2**63 + 1, 2**64 - 1)]
STREAM = StreamId(0)


def hello(node: int, *orders: Order, generation: int = 0, life: int = 1, epoch: int = 0) -> Hello:
    """Return a node's hello; with `orders` it keeps copies of streams 0, 1, …"""
    return Hello(
        address=f"10.0.0.{node % 250}:7100",
        certificate=f"certificate of {node}",
        kept={StreamId(number): order for number, order in enumerate(orders)},
        generation=generation,
        life=life,
        epoch=epoch,
    )


def order(generation: int, hop: int) -> Order:
    return Order(Fence(generation, NODES[0]), hop)


def hellos() -> dict[NodeId, Hello]:
    return {node: hello(node) for node in NODES}


def options(topology: str = "ring", **changes: Any) -> Options:  # noqa: ANN401
    chosen = {"local_steps": 4, "session_seconds": None, "insecure": False, "seed": 0, **changes}
    return Options(topology=topology, **chosen)


def plans(given: dict[NodeId, Hello], chosen: Options | None = None) -> dict[NodeId, Plan]:
    return make_plans(given, chosen or options(), "s-1", 60.0)


# --- plans --------------------------------------------------------------------------------------


@pytest.mark.parametrize("topology", ["ring", "small-world", "complete"])
def test_all_plans_tell_the_same_story(topology: str) -> None:
    made = plans(hellos(), options(topology, insecure=True))
    assert list(made) == NODES
    first = made[NODES[0]]
    for plan in made.values():
        assert plan.topology == first.topology
        assert plan.streams == first.streams
        assert (plan.session, plan.session_seconds, plan.local_steps) == ("s-1", 60.0, 4)
        assert plan.insecure is True
        assert plan.weight == 1 / len(NODES)
    for node, near in first.topology.items():
        assert node not in near
        assert all(node in first.topology[peer] for peer in near)


def test_weights_are_the_nodes_shares_of_all_examples() -> None:
    counts = dict(zip(NODES, (1, 1, 3, 5, 10**9), strict=True))
    given = {node: replace(hello(node), examples=counts[node]) for node in NODES}
    made = plans(given, options(weighting="examples", steps_per_round=70))
    total = sum(counts.values())
    assert {node: plan.weight for node, plan in made.items()} == {
        node: count / total for node, count in counts.items()
    }
    assert math.fsum(plan.weight for plan in made.values()) == pytest.approx(1.0, abs=1e-15)
    assert {plan.steps for plan in made.values()} == {70}
    for node, plan in made.items():
        assert plan.node_config(node).weight == plan.weight  # the core allows it


def test_a_plan_names_the_neighbors_and_nobody_else() -> None:
    for node, plan in plans(hellos()).items():
        assert plan.peers.keys() == plan.topology[node]
        assert len(plan.peers) == 2
        for peer, at in plan.peers.items():
            assert (at.address, at.certificate) == (
                f"10.0.0.{peer % 250}:7100",
                f"certificate of {peer}",
            )
        strangers = set(NODES) - plan.peers.keys() - {node}
        assert not any(f"certificate of {other}" in plan.to_json() for other in strangers)


def test_plans_survive_the_journey() -> None:
    for plan in plans(hellos()).values():
        assert Plan.from_json(plan.to_json()) == plan


def test_one_node_has_a_plan_of_its_own() -> None:
    (plan,) = plans({NODES[0]: hello(3)}).values()
    assert plan.topology == {NODES[0]: frozenset()}
    assert plan.peers == {}
    assert plan.streams == {
        STREAM: StreamPlan(shard=ShardId(0), start=NODES[0], members=frozenset(NODES[:1]))
    }


def test_a_plan_says_what_the_options_say() -> None:
    given = options(shards=2, regions=2, drift_correction=True, walk="metropolis", seed=7)
    for plan in plans(hellos(), given).values():
        assert (plan.shards, len(plan.streams)) == (2, 4)
        assert (plan.drift_correction, plan.walk, plan.seed) == (True, Walk.METROPOLIS, 7)
        assert Plan.from_json(plan.to_json()) == plan


# --- streams: shards and regions ----------------------------------------------------------------


def test_there_is_one_stream_for_each_shard_and_region() -> None:
    plan = next(iter(plans(hellos(), options(shards=3, regions=2)).values()))
    assert {s: stream.shard for s, stream in plan.streams.items()} == dict(
        enumerate([0, 0, 1, 1, 2, 2])
    )
    members = [plan.streams[StreamId(number)].members for number in range(6)]
    check_regions(dict(plan.topology.items()), members[:2])
    assert members == members[:2] * 3
    assert all(stream.start in stream.members for stream in plan.streams.values())


def test_the_same_nodes_have_the_same_regions_in_every_session() -> None:
    given = options(shards=2, regions=3, seed=4)
    later = {node: hello(node, *[order(3, node % 7)] * 6, generation=3) for node in NODES}
    before, after = (next(iter(plans(h, given).values())) for h in (hellos(), later))
    for stream, plan in before.streams.items():
        assert plan.members == after.streams[stream].members


def test_in_the_first_session_the_starts_are_spread_over_the_nodes() -> None:
    for seed in range(5):
        plan = next(iter(plans(hellos(), options(shards=5, seed=seed)).values()))
        assert {stream.start for stream in plan.streams.values()} == set(NODES)


def test_the_seed_decides_where_a_stream_starts_first() -> None:
    def start(given: dict[NodeId, Hello], seed: int) -> NodeId:
        return next(iter(plans(given, options(seed=seed)).values())).streams[STREAM].start

    chosen = [start(hellos(), seed) for seed in range(30)]
    assert len(set(chosen)) > 1
    assert chosen == [start(dict(reversed(hellos().items())), seed) for seed in range(30)]


def test_each_stream_starts_at_the_member_that_keeps_its_newest_copy() -> None:
    given = {
        node: hello(node, order(2, 7 + rank), order(2 + (rank == 1), 3), order(1, 900 - rank))
        for rank, node in enumerate(NODES)
    }
    for plan in plans(given, options(shards=3)).values():
        starts = [plan.streams[StreamId(number)].start for number in range(3)]
        assert starts == [NODES[4], NODES[1], NODES[0]]


def test_a_copy_elsewhere_does_not_count_for_a_region() -> None:
    given = options(regions=2)
    members = [
        stream.members for stream in next(iter(plans(hellos(), given).values())).streams.values()
    ]
    stranger = min(set(NODES) - members[0])
    keeper = max(members[0])
    later = hellos() | {stranger: hello(stranger, order(9, 9)), keeper: hello(keeper, order(1, 1))}
    assert next(iter(plans(later, given).values())).streams[STREAM].start == keeper


def test_more_regions_than_the_nodes_can_have_are_refused() -> None:
    with pytest.raises(ConfigError, match="regions=5: it must be 1 to 4"):
        plans(hellos(), options(regions=5))


def test_a_node_that_keeps_no_copy_is_never_the_start() -> None:
    given = hellos() | {NODES[0]: hello(3, Order(NO_FENCE, 1))}
    assert next(iter(plans(given, options(seed=5)).values())).streams[STREAM].start == NODES[0]


# --- who keeps the newest -----------------------------------------------------------------------


def test_the_freshest_keeps_the_newest_copy_of_the_most_streams() -> None:
    given = {
        NODES[0]: hello(3, order(2, 7), order(2, 1), order(2, 1)),
        NODES[1]: hello(5, order(1, 7), order(3, 1), order(2, 2)),
        NODES[2]: hello(8, order(2, 6), order(2, 900), order(2, 1)),
        NODES[3]: hello(NODES[3]),
    }
    assert freshest(given, seed=0) == NODES[1]


def test_who_keeps_streams_of_an_earlier_epoch_is_not_the_freshest() -> None:
    old = [order(5, 900)] * 3  # of three regions, where there is one now
    given = {NODES[0]: hello(3, *old, epoch=1), NODES[1]: hello(5, order(4, 1), epoch=2)}
    assert {freshest(given, seed) for seed in range(20)} == {NODES[1]}


def test_a_copy_of_an_earlier_epoch_decides_no_start() -> None:
    epoch = Epoch(number=2, regions=1)
    given = {node: hello(node, order(3, 4), epoch=2) for node in NODES[1:]}
    given[NODES[0]] = hello(NODES[0], order(9, 9), epoch=1)
    seeds = (options(seed=seed) for seed in range(20))
    topology: dict[int, frozenset[int]] = {node: frozenset(NODES) - {node} for node in NODES}
    starts = {plan_streams(topology, given, each, epoch)[STREAM].start for each in seeds}
    assert NODES[0] not in starts


def test_among_equals_the_seed_decides() -> None:
    for given in (hellos(), {node: hello(node, order(2, 7)) for node in NODES}):
        chosen = [freshest(given, seed) for seed in range(30)]
        assert len(set(chosen)) > 1
        assert chosen == [freshest(dict(reversed(given.items())), seed) for seed in range(30)]


# --- generations and lives ----------------------------------------------------------------------


def test_the_generation_is_the_highest_that_anyone_has_seen() -> None:
    given = hellos()
    given[NODES[2]] = hello(8, generation=9)
    given[NODES[4]] = hello(NODES[4], generation=4)
    assert {plan.generation for plan in plans(given).values()} == {9}


def test_every_session_starts_above_all_fences_of_earlier_ones() -> None:
    given = hellos()
    generations = [
        next(iter(make_plans(given, options(), "s", 60.0, earlier).values())).generation
        for earlier in range(3)
    ]
    assert generations == [0, FENCES_A_SESSION, 2 * FENCES_A_SESSION]


def test_each_plan_is_for_the_life_that_the_broker_knows() -> None:
    given = {node: hello(node, life=10 + rank) for rank, node in enumerate(NODES)}
    assert [plan.life for plan in plans(given).values()] == [10, 11, 12, 13, 14]
    known = make_plans(given, options(), "s", 60.0, lives={NODES[1]: 3})
    assert [plan.life for plan in known.values()] == [10, 3, 12, 13, 14]
