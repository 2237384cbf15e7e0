"""What a node is told is checked once; each refusal is one clear line."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.errors import ConfigError
from tests.unit.core.builders import OTHER, STREAM, TRIANGLE, A, B, C, config, visiting


def refusal(**fields: Any) -> str:  # noqa: ANN401
    with pytest.raises(ConfigError) as caught:
        config(**fields)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_node_must_be_in_its_topology() -> None:
    assert refusal(node_id=NodeId(9)) == "node 9 is not in its own topology"


def test_a_stream_starts_at_one_of_its_members() -> None:
    text = "stream 0 starts at node {}: not one of its members"
    assert refusal(start=NodeId(9)) == text.format(9)
    assert refusal(streams={STREAM: visiting({A, B}, start=C)}) == text.format(2)


def test_a_stream_visits_nodes_of_the_topology() -> None:
    members = {A, NodeId(8), NodeId(9)}
    text = refusal(streams={STREAM: visiting(TRIANGLE), OTHER: visiting(members)})
    assert text == "stream 1 visits node 8: not in the topology"


def test_there_are_regions_where_a_stream_does_not_visit_everyone() -> None:
    assert not config().regional
    shards = {StreamId(k): visiting(TRIANGLE, shard=ShardId(k)) for k in range(3)}
    assert not config(streams=shards).regional
    assert config(streams={STREAM: visiting({A, B}), OTHER: visiting({B, C})}).regional


@pytest.mark.parametrize("weight", [0, -0.1, 1.1, math.nan, math.inf])
def test_a_weight_is_a_share(weight: float) -> None:
    assert refusal(weight=weight) == f"weight is {weight}: it must be above 0 and at most 1"


def test_local_steps_are_not_negative() -> None:
    assert refusal(local_steps=-1) == "local_steps is -1: it must be 0 or more"


@pytest.mark.parametrize("name", ["first_receipt_seconds", "first_lost_seconds"])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf])
def test_waits_are_above_zero_and_finite(name: str, value: float) -> None:
    assert refusal(**{name: value}) == f"{name} is {value}: it must be a number of seconds above 0"


@pytest.mark.parametrize("value", [0, -1.0, 0.99, math.nan, math.inf])
def test_a_stream_is_not_lost_before_one_tour_is_over(value: float) -> None:
    assert refusal(lost_tours=value) == f"lost_tours is {value}: it must be 1 or more"


@pytest.mark.parametrize("name", ["resends", "generation"])
def test_counts_are_not_negative(name: str) -> None:
    assert refusal(**{name: -1}) == f"{name} is -1: it must be 0 or more"


def test_there_is_a_stream() -> None:
    assert refusal(streams={}) == "there is no stream in the plan: at least one must be"


def test_a_topology_has_no_loops() -> None:
    topology = {A: frozenset({A, B}), B: frozenset({A})}
    assert refusal(topology=topology) == "the topology links node 0 with itself"


@pytest.mark.parametrize("back", [{}, {B: frozenset[NodeId]()}])
def test_a_topology_is_symmetric(back: dict[NodeId, frozenset[NodeId]]) -> None:
    text = refusal(topology={A: frozenset({B}), **back})
    assert text == "the topology links 0 with 1, but not 1 with 0"


def test_a_topology_is_connected() -> None:
    topology = {A: frozenset({B}), B: frozenset({A}), C: frozenset[NodeId]()}
    assert refusal(topology=topology) == "the topology is not connected: no way from 0 to 2"


def test_one_node_alone_is_a_topology() -> None:
    assert config(topology={A: frozenset[NodeId]()}).neighbors == frozenset()


@pytest.mark.parametrize("weight", [1e-9, 1.0])
def test_the_ends_of_the_range_are_allowed(weight: float) -> None:
    assert config(weight=weight, local_steps=0, lost_tours=1, resends=0).weight == weight


def test_neighbors_are_those_of_the_topology() -> None:
    assert config(topology=TRIANGLE).neighbors == {B, C}
    assert A not in config(topology=TRIANGLE).neighbors


def test_another_nodes_part_differs_in_who_and_how_much_only() -> None:
    mine = config(local_steps=7, seed=3)
    theirs = mine.of_node(B, 0.25)
    assert theirs == replace(mine, node_id=B, weight=0.25)
    assert (mine.node_id, theirs.neighbors) == (A, TRIANGLE[B])


def test_another_nodes_part_is_checked_where_it_differs() -> None:
    with pytest.raises(ConfigError) as caught:
        config().of_node(NodeId(9), 0.5)
    assert str(caught.value) == "node 9 is not in its own topology"
    with pytest.raises(ConfigError) as caught:
        config().of_node(B, 1.5)
    assert str(caught.value) == "weight is 1.5: it must be above 0 and at most 1"


def test_what_all_nodes_share_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, seen = config(), list[object]()
    monkeypatch.setattr("flwr_digest.core.config.check_topology", seen.append)
    mine.of_node(B, 0.5)
    assert seen == []
    replace(mine, node_id=B)
    assert seen == [TRIANGLE]
