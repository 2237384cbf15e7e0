"""From hellos to plans: everyone gets what they need, and nothing about anyone else."""

from __future__ import annotations

import pytest

from flwr_digest.core.ids import NO_FENCE, Fence, NodeId, Order
from flwr_digest.core.plan import Hello, Plan
from flwr_digest.errors import ConfigError
from flwr_digest.strategies.options import Options
from flwr_digest.strategies.planning import (
    FENCES_A_SESSION,
    THE_STREAM,
    check_hellos,
    freshest,
    make_plans,
)

NODES = [NodeId(node) for node in (3, 5, 8, 2**63 + 1, 2**64 - 1)]
FIRST = Order(NO_FENCE, 0)


def hello(
    node: int, *, order: Order = FIRST, generation: int = 0, address: str = "", slots: int = 0
) -> Hello:
    return Hello(
        address=address or f"10.0.0.{node % 250}:7100",
        certificate=f"certificate of {node}",
        kept={THE_STREAM: order},
        generation=generation,
        slots=slots,
    )


def hellos() -> dict[NodeId, Hello]:
    return {node: hello(node) for node in NODES}


def options(topology: str = "ring", *, seed: int = 0, insecure: bool = False) -> Options:
    return Options(
        topology=topology, local_steps=4, session_seconds=None, insecure=insecure, seed=seed
    )


def plans(given: dict[NodeId, Hello], chosen: Options | None = None) -> dict[NodeId, Plan]:
    return make_plans(given, chosen or options(), "s-1", 60.0)


def refusal(given: dict[NodeId, Hello]) -> str:
    with pytest.raises(ConfigError) as caught:
        check_hellos(given)
    line = str(caught.value)
    assert "\n" not in line
    return line


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
    assert plan.streams == {THE_STREAM: NODES[0]}


def test_the_stream_starts_where_its_newest_copy_is() -> None:
    given = hellos()
    given[NODES[1]] = hello(5, order=Order(Fence(2, NODES[0]), 7))
    given[NODES[3]] = hello(NODES[3], order=Order(Fence(2, NODES[0]), 8))
    given[NODES[4]] = hello(NODES[4], order=Order(Fence(1, NODES[4]), 900))
    assert freshest(given, seed=0) == NODES[3]
    assert {plan.streams[THE_STREAM] for plan in plans(given).values()} == {NODES[3]}


def test_among_equals_the_seed_decides() -> None:
    chosen = [freshest(hellos(), seed) for seed in range(30)]
    assert len(set(chosen)) > 1
    assert chosen == [freshest(dict(reversed(hellos().items())), seed) for seed in range(30)]


def test_a_node_that_keeps_no_copy_is_never_the_start() -> None:
    given = hellos()
    for node in NODES[1:]:
        given[node] = Hello(address=f"h:{node}", certificate="", kept={}, generation=0)
    given[NODES[0]] = hello(3, order=Order(NO_FENCE, 1))
    assert freshest(given, seed=5) == NODES[0]


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


# --- who cannot be together ---------------------------------------------------------------------


def test_nodes_that_can_reach_each_other_pass() -> None:
    check_hellos(hellos())
    check_hellos({node: hello(node, address=f"unix:/run/{node}") for node in NODES})
    check_hellos({node: hello(node, address=f"127.0.0.1:{7000 + node}") for node in NODES[:3]})
    check_hellos({NODES[0]: hello(3, address="localhost:7100")})


def test_two_nodes_with_one_address_are_both_named() -> None:
    given = hellos()
    given[NODES[2]] = hello(8, address=given[NODES[1]].address)
    line = refusal(given)
    assert f"nodes {NODES[1]} and {NODES[2]} both say" in line
    assert "give each its own digest-address" in line


@pytest.mark.parametrize("local", ["127.0.0.1:7100", "localhost:7100", "[::1]:7100", "unix:/run/s"])
def test_a_local_address_among_others_is_told_to_advertise(local: str) -> None:
    given = hellos()
    given[NODES[3]] = hello(NODES[3], address=local)
    line = refusal(given)
    assert f"node {NODES[3]} says to dial it at {local}" in line
    assert 'digest-advertise="HOST:PORT"' in line


def test_too_few_slots_name_the_command_that_gives_enough() -> None:
    given = hellos()
    given[NODES[0]] = hello(3, slots=2)
    line = refusal(given)
    assert "runs 2 of 5 nodes at once" in line
    assert (
        '--federation-config "num-supernodes=5 client-resources-num-cpus=1 init-args-num-cpus=5"'
        in line
    )


def test_enough_slots_are_enough_and_none_are_no_limit() -> None:
    check_hellos({node: hello(node, slots=5) for node in NODES})
    check_hellos({node: hello(node, slots=0) for node in NODES})
