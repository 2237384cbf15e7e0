"""A memory and a plan: what a node enters a session with, and what it makes of it after."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flwr_digest.clients.record import Cut, NodeRecord, first_record
from flwr_digest.clients.sessions import contents_in, cut_of, states_for, streams_model
from flwr_digest.core.cargo import Cargo
from flwr_digest.core.config import StreamPlan
from flwr_digest.core.epoch import Told
from flwr_digest.core.ids import Fence, NodeId, ShardId, StreamId
from flwr_digest.core.plan import Plan
from flwr_digest.core.stream import Visit
from flwr_digest.errors import ConfigError
from tests.support.digest_messages import plan_for_one
from tests.support.flower_app import (
    initial_arrays,
)

CHAIN = [NodeId(node) for node in (2, 3, 5, 8)]
LEFT, RIGHT = frozenset(CHAIN[:3]), frozenset(CHAIN[2:])
GATEWAY = CHAIN[2]
EVERYONE = frozenset(CHAIN)


def plan_of(shards: int, *regions: frozenset[NodeId], drift_correction: bool = False) -> Plan:
    streams = {
        StreamId(shard * len(regions) + number): StreamPlan(
            shard=ShardId(shard), start=min(region), members=region
        )
        for shard in range(shards)
        for number, region in enumerate(regions)
    }
    topology = {node: EVERYONE - {node} for node in CHAIN}
    return replace(
        plan_for_one(2), topology=topology, streams=streams, drift_correction=drift_correction
    )


def record() -> NodeRecord:
    return first_record(initial_arrays(), life=8)


def test_one_region_of_all_nodes_is_no_matter_of_who_they_are() -> None:
    assert cut_of(plan_of(3, EVERYONE)) == Cut(shards=3)
    assert cut_of(plan_for_one(9)) == Cut(shards=1)


def test_several_regions_are_named_in_the_streams_order() -> None:
    assert cut_of(plan_of(2, RIGHT, LEFT)) == Cut(shards=2, regions=(RIGHT, LEFT))


def test_before_the_first_session_every_stream_is_a_slice_of_the_initial_model() -> None:
    states = states_for(record(), plan_of(4, EVERYONE), CHAIN[0])
    slices = [np.asarray(states[StreamId(shard)].kept.model) for shard in range(4)]
    assert np.array_equal(np.concatenate(slices), record().model)
    assert {state.account.life for state in states.values()} == {8}
    assert all(state.account.deposit is not None for state in states.values())


def test_a_node_has_states_only_of_the_streams_that_visit_it() -> None:
    plan = plan_of(2, LEFT, RIGHT)
    assert sorted(states_for(record(), plan, CHAIN[0])) == [0, 2]
    assert sorted(states_for(record(), plan, GATEWAY)) == [0, 1, 2, 3]
    assert sorted(states_for(record(), plan, CHAIN[3])) == [1, 3]


@pytest.mark.parametrize("drift_correction", [False, True])
def test_rates_are_measured_anew_where_the_plan_wants_them(drift_correction: bool) -> None:
    plan = plan_of(2, EVERYONE, drift_correction=drift_correction)
    for state in states_for(record(), plan, CHAIN[0]).values():
        for found in (state.kept.rate, state.account.inflow.rate):
            assert (found is not None) == drift_correction
            assert found is None or not np.asarray(found).any()


def lived() -> NodeRecord:
    """Return a gateway's memory of a session that was cut off: every copy is of another value."""
    states = dict(states_for(record(), plan_of(2, LEFT, RIGHT), GATEWAY))
    for stream_id, hop in {0: 4, 1: 6, 2: 9, 3: 7}.items():
        state = states[StreamId(stream_id)]
        values = np.full(state.kept.model.shape, float(stream_id), dtype=np.float32)
        kept = replace(state.kept.with_cargo(Cargo(model=values)), hop=hop)
        states[StreamId(stream_id)] = replace(state, kept=kept, highest=Fence(3, GATEWAY))
    return replace(record(), states=states, cut=Cut(shards=2, regions=(LEFT, RIGHT)))


def test_later_sessions_go_on_from_what_was_kept() -> None:
    states = states_for(lived(), plan_of(2, LEFT, RIGHT), GATEWAY)
    assert [states[StreamId(s)].kept.hop for s in range(4)] == [4, 6, 9, 7]
    assert all(state.highest == Fence(3, GATEWAY) for state in states.values())


@pytest.mark.parametrize(
    "plan",
    [
        plan_of(1, LEFT, RIGHT),
        plan_of(2, EVERYONE),
        plan_of(2, RIGHT, LEFT),
        replace(plan_of(1, LEFT, RIGHT), epoch=1),
        replace(plan_of(2, LEFT, RIGHT), epoch=-1),
    ],
)
def test_another_cut_than_before_is_refused_in_one_line(plan: Plan) -> None:
    with pytest.raises(ConfigError, match="stay the same within a run") as caught:
        states_for(lived(), plan, GATEWAY)
    line = str(caught.value)
    assert "\n" not in line
    assert "had 2 shards in 2 regions of 3+2 nodes" in line
    assert str(cut_of(plan)) in line


def test_in_a_new_epoch_a_gateway_carries_over_its_fullest_copy_of_each_shard() -> None:
    before = lived()
    kept = before.states[StreamId(1)].kept
    visits = {CHAIN[3]: Visit(life=4, number=2, hop=6, steps=9)}
    fuller = replace(before.states[StreamId(1)], kept=replace(kept, visits=visits))
    before = replace(before, states={**before.states, StreamId(1): fuller})
    states = states_for(before, replace(plan_of(2, EVERYONE), epoch=1), GATEWAY)
    assert {s: state.kept.stream_id for s, state in states.items()} == {0: 0, 1: 1}
    # Stream 1 of shard 0 has more steps in it; of shard 1 neither has, and 2 has come further.
    assert [float(np.asarray(states[StreamId(s)].kept.model)[0]) for s in (0, 1)] == [1.0, 2.0]
    assert contents_in(before) == ({CHAIN[3]: Told(4, 9)}, {})


def test_in_a_new_epoch_with_regions_a_node_goes_to_those_that_visit_it() -> None:
    before = replace(lived(), cut=Cut(shards=2, regions=(LEFT, RIGHT)), epoch=2)
    plan = replace(plan_of(2, RIGHT, LEFT), epoch=3)
    assert sorted(states_for(before, plan, CHAIN[0])) == [1, 3]
    assert sorted(states_for(before, plan, GATEWAY)) == [0, 1, 2, 3]


def test_who_has_had_no_session_has_nothing_to_carry_over() -> None:
    states = states_for(record(), replace(plan_of(2, LEFT, RIGHT), epoch=3), CHAIN[0])
    assert all(state.kept.hop == 0 for state in states.values())
    assert contents_in(record()) == ()


def test_other_nodes_in_one_region_are_no_other_cut() -> None:
    states = states_for(record(), plan_of(2, EVERYONE), CHAIN[0])
    before = replace(record(), states=states, cut=Cut(shards=2))
    alone = plan_for_one(CHAIN[0], shards=2)
    assert sorted(states_for(before, alone, CHAIN[0])) == [0, 1]


def test_the_streams_model_is_of_each_shard_the_copy_that_came_furthest() -> None:
    model = streams_model(lived())
    assert model.dtype == np.float32
    assert model.tolist() == [1.0] * 45 + [2.0] * 45


def test_before_any_session_the_streams_model_is_the_nodes_own() -> None:
    assert np.array_equal(streams_model(record()), record().model)
