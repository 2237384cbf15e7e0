"""Sessions with several streams: shards, regions and gradient rates, over real links."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.core.rounding import cargo_bytes, rounded
from tests.support.overlay_session import Company, eventually

PLANS: dict[str, dict[str, Any]] = {
    "shards": {"shards": 3},
    "regions": {"regions": 2},
    "shards and regions": {"shards": 3, "regions": 2},
    "all of it": {"shards": 3, "regions": 2, "drift_correction": True},
    "drift correction": {"drift_correction": True},
}


@pytest.mark.parametrize("plan", PLANS)
def test_every_step_is_in_every_shard_of_every_region_once(plan: str) -> None:
    company = Company(count=5, insecure=True, rounds=8, steps=6, **PLANS[plan])
    company.add_all()

    company.run()

    company.check()
    work = np.zeros(company.size)
    work[: company.count] = company.rounds * company.steps / company.count
    for node, member in company.members.items():
        for stream_id, state in member.session.final_states.items():
            assert node in company.streams[stream_id].members
            np.testing.assert_allclose(state.kept.model, work, rtol=1e-4)
        everything = np.tile(work, company.shards)
        np.testing.assert_allclose(member.trainer.model, everything, rtol=1e-4)
        assert member.report.ending == "the session closed"
        assert member.report.unshared_steps == 0


@pytest.mark.parametrize("plan", ["all of it", "drift correction"])
def test_rates_reach_all_nodes_and_correct_each_to_the_mean(plan: str) -> None:
    company = Company(count=5, insecure=True, rounds=8, steps=6, **PLANS[plan])
    company.add_all()

    company.run()

    mean = np.zeros(company.size, dtype=np.float32)
    mean[: company.count] = 1 / company.count
    mean = rounded(mean)
    for node, member in company.members.items():
        for state in member.session.final_states.values():
            assert state.kept.rate is not None
            np.testing.assert_allclose(state.kept.rate, mean, atol=1e-6)
        own = np.zeros(company.size)
        own[node] = 1.0
        for shard in map(ShardId, range(company.shards)):
            np.testing.assert_allclose(member.trainer.corrections[shard], mean - own, atol=1e-6)
        assert member.report.totals()["corrections_off"] == 0


@pytest.mark.usefixtures("endless_patience")
def test_all_bytes_of_model_and_rates_are_counted_as_payload() -> None:
    company = Company(count=4, insecure=True, shards=2, drift_correction=True, size=1000)
    company.add_all()

    company.run()

    company.check()
    totals = [member.report.totals() for member in company.members.values()]
    sent, hops = (
        sum(each[name] for each in totals) for name in ("payload_bytes_sent", "hops_sent")
    )
    assert sent == hops * cargo_bytes(company.size, rates=True)


@pytest.mark.usefixtures("endless_patience")
def test_the_pace_holds_each_stream_until_more_steps_are_made() -> None:
    company = Company(count=4, insecure=True, shards=4, rounds=3, steps=6, local_steps=6)
    company.add_all()
    for member in company.members.values():
        # Nobody makes steps meanwhile, as all of them wait for that sooner or later.
        member.on_round = lambda number: rested(company)

    company.run()

    company.check()


def rested(company: Company) -> None:
    """Wait until every stream is held somewhere; without a pace none would be."""
    assert eventually(lambda: all(is_held(company, stream_id) for stream_id in company.streams))


def is_held(company: Company, stream_id: StreamId) -> bool:
    nodes = [member.session.driver.node for member in company.members.values()]
    stations = [node.stations[stream_id] for node in nodes]
    before = [station.counters.hops_sent for station in stations]
    held = [station.held for station in stations]
    return held.count(True) == 1 and before == [each.counters.hops_sent for each in stations]


def test_the_next_session_goes_on_with_all_streams_and_measures_rates_anew() -> None:
    plan: dict[str, Any] = {"shards": 2, "regions": 2, "drift_correction": True}
    first = Company(count=4, insecure=True, rounds=8, **plan)
    first.add_all()
    first.run()
    first.check()
    second = Company(count=4, insecure=True, rounds=2, session="the next", **plan)
    second.work = first.work
    for node in second.nodes:
        states = first.members[node].session.final_states
        second.add(node, states=states, generation=first.highest_generation())

    second.run()

    second.check()
    assert set(first.work.made.values()) == {(8 + 2) * first.steps}
    kept = second.members[NodeId(0)].session.final_states.values()
    rates = [state.kept.rate for state in kept if state.kept.rate is not None]
    assert rates
    assert not np.any(rates)  # measured anew, and six steps are too few for that
