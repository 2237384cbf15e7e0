"""Runs of DIGEST on the digits, with what the stability of a run is judged by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from flwr_digest.learning.arrays import Doubles
from flwr_digest.sim.digest.collector import paused_collector
from flwr_digest.sim.digest.simulation import Simulation
from flwr_digest.sim.methods import Settings
from flwr_digest.sim.problem import Problem, make_problem
from flwr_digest.sim.record import Recorder
from flwr_digest.sim.scenarios import load_scenario

STEPS_PER_MEASUREMENT = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of a run.

    `gaps` are the mean gaps of the nodes' models, every 50 steps.
    """

    gaps: Doubles
    guards_tripped: int

    @property
    def trend(self) -> float:
        """The mean gap of the last third over that of the middle third: above 1 it grows."""
        _, middle, last = np.array_split(self.gaps, 3)
        return float(last.mean() / middle.mean())


def outcome_of(
    scenario: str,
    steps: int,
    *,
    topology: str = "small-world",
    **settings: Any,  # noqa: ANN401
) -> Outcome:
    """Run DIGEST; a run that diverges comes to its end, too."""
    problem = _problem(scenario, topology, steps)
    recorder = Recorder(problem, problem.scenario.seconds)
    with np.errstate(over="ignore", invalid="ignore"), paused_collector():
        simulation = Simulation(problem, Settings(**settings))
        simulation.run(recorder)
    return Outcome(
        gaps=np.array([row.gap_mean for row in recorder.rows]),
        guards_tripped=simulation.report.guards_tripped,
    )


@lru_cache(maxsize=8)
def _problem(scenario: str, topology: str, steps: int) -> Problem:
    changed = replace(
        load_scenario(scenario),
        topology=topology,
        steps=float(steps),
        measurements=steps // STEPS_PER_MEASUREMENT,
    )
    return make_problem(changed, seed=0)
