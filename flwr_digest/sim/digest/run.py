"""DIGEST as one of the simulator's methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flwr_digest.sim.digest.collector import paused_collector
from flwr_digest.sim.digest.simulation import Simulation

if TYPE_CHECKING:
    from flwr_digest.sim.methods import Settings
    from flwr_digest.sim.problem import Problem
    from flwr_digest.sim.record import Recorder


def run_digest(problem: Problem, settings: Settings, recorder: Recorder) -> None:
    """Run DIGEST until all is measured; see `flwr_digest.sim.digest`.

    Raises
    ------
    ConfigError
        More shards than the model has values, or more regions than the topology allows.
    """
    with paused_collector():
        Simulation(problem, settings).run(recorder)
