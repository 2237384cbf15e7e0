"""What nodes are told: which streams there are, where they start, how long to wait."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from flwr_digest.core.ids import StreamId
from flwr_digest.core.walk import Walk
from flwr_digest.errors import ConfigError
from flwr_digest.sim.digest.later import Later
from flwr_digest.sim.digest.plans import LOCAL_STEPS, make_plans
from tests.unit.sim.digest.builders import SMALL, mean_problem, settings

STREAM = StreamId(0)


def test_there_is_a_stream_for_each_shard_and_region() -> None:
    plans = make_plans(mean_problem(), settings(shards=3, regions=2))
    streams = [plan for _, plan in sorted(plans.configs[0].streams.items())]
    assert [plan.shard for plan in streams] == [0, 0, 1, 1, 2, 2]
    assert streams[0].members | streams[1].members == set(range(5))
    assert streams[0].members == streams[2].members == streams[4].members
    assert [part.stop - part.start for part in plans.slices] == [7, 7, 6]


def test_streams_start_on_different_nodes() -> None:
    plans = make_plans(mean_problem(), settings(shards=5))
    assert {plan.start for plan in plans.configs[0].streams.values()} == set(range(5))


def test_each_node_has_its_weight_and_the_settings() -> None:
    problem = mean_problem()
    weights = np.array([0.1, 0.3, 0.2, 0.25, 0.15])
    uneven = replace(problem, weights=weights)
    chosen = settings(drift_correction=True, gate=False, walk="metropolis", local_steps=7)
    configs = make_plans(uneven, chosen).configs
    assert [config.weight for config in configs] == weights.tolist()
    assert [config.node_id for config in configs] == [0, 1, 2, 3, 4]
    config = configs[3]
    assert (config.drift_correction, config.gate, config.local_steps) == (True, False, 7)
    assert config.walk is Walk.METROPOLIS
    assert config.topology == problem.neighbors


def test_the_pace_has_a_default() -> None:
    assert make_plans(mean_problem(), settings()).configs[0].local_steps == LOCAL_STEPS


def test_first_waits_fit_the_links() -> None:
    slow = replace(SMALL, transfer_seconds=40.0, latency_seconds=1.0)
    one, many = (
        make_plans(mean_problem(slow), settings(shards=shards)).configs[0] for shards in (1, 4)
    )
    assert one.first_receipt_seconds == pytest.approx(4 * (40 + 2))
    assert many.first_receipt_seconds == pytest.approx(4 * (10 + 2))
    # Three tours of twice five hops, and the pace at the slowest node.
    assert one.first_lost_seconds > 3 * (2 * 5 * 42 + LOCAL_STEPS)


def test_waits_are_above_zero_where_links_take_no_time() -> None:
    ideal = replace(SMALL, transfer_seconds=0.0, latency_seconds=0.0)
    config = make_plans(mean_problem(ideal), settings(local_steps=0)).configs[0]
    assert (config.first_receipt_seconds, config.first_lost_seconds) == (1.0, 1.0)


def test_rates_count_in_the_first_waits() -> None:
    plain, corrected = (
        make_plans(mean_problem(), settings(drift_correction=on)).configs[0] for on in (False, True)
    )
    assert corrected.first_receipt_seconds > plain.first_receipt_seconds


def test_who_comes_back_starts_no_stream_that_others_could_have_started() -> None:
    plans = make_plans(mean_problem(), settings(shards=5))
    for node in range(5):
        streams = plans.returning(node).streams
        assert node not in {plan.start for plan in streams.values()}
        assert all(plan.start in plan.members for plan in streams.values())


def test_a_single_node_starts_its_streams_again() -> None:
    alone = mean_problem(replace(SMALL, nodes=1))
    assert make_plans(alone, settings()).returning(0).streams[STREAM].start == 0


def test_first_states_have_the_initial_model_of_each_shard() -> None:
    problem = replace(mean_problem(), initial=np.arange(20, dtype=np.float32))
    plans = make_plans(problem, settings(shards=3, regions=2, drift_correction=True))
    regions = list(plans.configs[0].streams.values())[:2]
    (gateway,) = regions[0].members & regions[1].members
    states = plans.first_states(gateway, life=3)
    assert sorted(states) == list(range(6))
    for stream_id, state in states.items():
        part = plans.slices[stream_id // 2]
        model, rate = cast(Later, state.kept.model), cast(Later, state.kept.rate)
        assert model.known().tolist() == list(range(part.start, part.stop))
        assert rate.known().tolist() == [0] * (part.stop - part.start)
        assert state.account.life == 3
    others = set(range(5)) - {gateway}
    assert all(len(plans.first_states(node, life=1)) == 3 for node in others)


@pytest.mark.parametrize(
    ("fields", "named"), [({"shards": 21}, "shards is 21"), ({"regions": 5}, "regions=5")]
)
def test_what_does_not_fit_is_refused(fields: dict[str, int], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        make_plans(mean_problem(), settings(**fields))
