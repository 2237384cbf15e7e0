"""How far nodes are behind each other, against the steps that their models really contain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flwr_digest.sim.digest.simulation import Simulation
from flwr_digest.sim.digest.staleness import staleness_steps
from flwr_digest.sim.faults import Absence
from flwr_digest.sim.scenario import Scenario
from tests.unit.sim.digest.builders import SMALL, recorder_of, settings, unit_problem


def behind_by_models(scenario: Scenario, shards: int) -> tuple[float | None, float]:
    """Return what the streams tell, and what the models themselves show."""
    nodes = scenario.nodes
    problem = unit_problem(scenario, shards)
    simulated, recorder = Simulation(problem, settings(shards=shards)), recorder_of(problem)
    simulated.run(recorder)
    made = np.array([p.steps_of_life(scenario.seconds) for p in simulated.participants])
    contained = simulated.models.rows.reshape(nodes, shards, nodes) * nodes  # weights are 1/N
    others = ~np.eye(nodes, dtype=bool)
    behind = (made - contained.mean(axis=1))[others].mean()
    told = recorder.rows[-1].staleness_steps
    assert told == staleness_steps(simulated.participants, scenario.seconds)
    return told, float(behind)


@pytest.mark.parametrize("shards", [1, 3])
def test_what_streams_tell_is_what_models_contain(shards: int) -> None:
    told, behind = behind_by_models(SMALL, shards)
    assert told == pytest.approx(behind, rel=1e-4)
    assert behind > 0


def test_steps_of_a_life_that_is_over_do_not_count() -> None:
    absence = Absence(node=1, start_seconds=30.0, end_seconds=31.0, with_state=False)
    calm, _ = behind_by_models(SMALL, 1)
    told, _ = behind_by_models(replace(SMALL, absences=(absence,)), 1)
    assert calm is not None
    assert told is not None
    assert 0 < told < 3 * calm  # with the steps of the life before it would be far more


def test_there_is_no_such_notion_between_regions_and_for_one_node() -> None:
    for scenario, regions in ((SMALL, 2), (replace(SMALL, nodes=1), 1)):
        problem = unit_problem(scenario, 1)
        simulated, recorder = Simulation(problem, settings(regions=regions)), recorder_of(problem)
        simulated.run(recorder)
        assert recorder.rows[-1].staleness_steps is None
