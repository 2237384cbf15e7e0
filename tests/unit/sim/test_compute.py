"""Step times: decided by seed, node and number; of the asked-for mean and spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flwr_digest.sim.compute import Compute
from flwr_digest.sim.scenario import Scenario


def compute(seed: int = 1, **fields: Any) -> Compute:  # noqa: ANN401
    given: dict[str, Any] = {"name": "test", "nodes": 4} | fields
    return Compute(Scenario(**given), seed)


@pytest.mark.parametrize("model", ["fixed", "exponential"])
def test_durations_do_not_depend_on_how_they_are_asked_for(model: str) -> None:
    expected = compute(compute=model).durations(2, 0, 2000)
    source = compute(compute=model)
    for first, count in [(1999, 1), (0, 1), (250, 10), (0, 2000), (256, 256), (3, 1), (255, 600)]:
        found = source.durations(2, first, count)
        assert found.shape == (count,)
        assert found.dtype == np.float64
        assert found.tolist() == expected[first : first + count].tolist()


def test_the_scenario_does_not_decide_for_other_nodes() -> None:
    few, many = compute(nodes=2), compute(nodes=40)
    assert few.durations(1, 0, 50).tolist() == many.durations(1, 0, 50).tolist()


def test_each_node_seed_and_block_has_its_own() -> None:
    same_speed = compute(speed_spread=0)
    found = [
        same_speed.durations(0, 0, 100),
        same_speed.durations(1, 0, 100),
        same_speed.durations(0, 256, 100),
        compute(seed=2, speed_spread=0).durations(0, 0, 100),
    ]
    assert len({durations.tobytes() for durations in found}) == len(found)


def test_fixed_steps_of_equal_nodes_take_what_the_scenario_says() -> None:
    found = compute(compute="fixed", speed_spread=0, step_seconds=0.25).durations(3, 10, 500)
    assert set(found.tolist()) == {0.25}


def test_exponential_steps_have_the_mean_of_their_node_and_its_spread() -> None:
    source = compute(step_seconds=2.0)
    for node in range(4):
        found = source.durations(node, 0, 40_000) / source.mean_seconds[node]
        assert found.mean() == pytest.approx(1, abs=0.02)
        assert found.std() == pytest.approx(1, abs=0.03)
        assert found.min() > 0


def test_the_median_node_is_as_the_scenario_says() -> None:
    means = compute(nodes=4000, step_seconds=3.0, speed_spread=0.3).mean_seconds
    assert np.median(means) == pytest.approx(3, rel=0.03)
    assert np.log(means).std() == pytest.approx(0.3, rel=0.05)
    assert set(compute(speed_spread=0).mean_seconds.tolist()) == {1.0}


def test_stalls_come_on_top() -> None:
    plain = compute(compute="fixed", speed_spread=0).durations(0, 0, 10_000)
    stalled = compute(
        compute="fixed", speed_spread=0, stall_probability=0.1, stall_seconds=7.0
    ).durations(0, 0, 10_000)
    more = stalled - plain
    assert set(more.tolist()) == {0.0, 7.0}
    assert (more > 0).mean() == pytest.approx(0.1, abs=0.01)


def test_stalls_leave_the_other_draws_as_they_are() -> None:
    plain = compute().durations(0, 0, 1000)
    stalled = compute(stall_probability=0.5, stall_seconds=1.0).durations(0, 0, 1000)
    assert stalled - plain == pytest.approx(np.round(stalled - plain))


def test_what_is_handed_out_cannot_spoil_later_answers() -> None:
    source = compute()
    with pytest.raises(ValueError, match="read-only"):
        source.durations(0, 0, 5)[0] = 0
    source.mean_seconds[:] = 0
    assert source.mean_seconds.min() > 0
