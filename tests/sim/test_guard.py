"""The guard of drift correction trips where a run diverges, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.digits import outcome_of


def test_guards_trip_when_a_run_diverges_and_keep_it_within_bounds() -> None:
    outcome = outcome_of("digits-by-label-64", 2000, regions=63, gate=False, drift_correction=True)
    gaps = outcome.gaps
    assert gaps.max() > 10 * gaps[: len(gaps) // 3].min()  # it does diverge
    assert outcome.guards_tripped >= 32  # measured 53 of 64
    assert gaps[-5:].mean() < gaps.max() / 2  # measured 3.5 of 12.5; without, 116


HEALTHY: list[tuple[dict[str, Any], int]] = [
    ({"shards": 1, "local_steps": 0}, 1500),
    ({"shards": 1, "local_steps": 20}, 1500),
    ({"shards": 4, "local_steps": 0}, 1000),
    ({"shards": 4, "local_steps": 20}, 1500),
    ({"shards": 16, "local_steps": 0}, 250),
    ({"shards": 16, "local_steps": 20}, 1000),
]
REGIONS: list[tuple[dict[str, Any], int]] = [
    ({"regions": 4, "local_steps": 0}, 1500),
    ({"regions": 4, "local_steps": 20}, 1500),
    ({"regions": 15, "local_steps": 0}, 1000),
    ({"regions": 15, "local_steps": 20}, 1500),
]


@pytest.mark.parametrize(("settings", "steps"), HEALTHY, ids=str)
@pytest.mark.parametrize("scenario", ["digits-by-label-16", "digits-iid-16"])
def test_no_guard_trips_in_a_healthy_run(
    scenario: str, settings: dict[str, Any], steps: int
) -> None:
    outcome = outcome_of(scenario, steps, drift_correction=True, **settings)
    assert outcome.trend < 1  # it is healthy
    assert outcome.guards_tripped == 0


@pytest.mark.parametrize(("settings", "steps"), REGIONS, ids=str)
@pytest.mark.parametrize("scenario", ["digits-by-label-16", "digits-iid-16"])
def test_no_guard_trips_behind_the_gate(
    scenario: str, settings: dict[str, Any], steps: int
) -> None:
    outcome = outcome_of(scenario, steps, drift_correction=True, **settings)
    assert outcome.trend < 1
    assert outcome.guards_tripped == 0
