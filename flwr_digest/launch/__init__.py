"""Starts a private Flower on this machine, runs apps on it, and stops it without a trace.

For demos, for tests, and to try out a federation of several hosts on one machine::

    with SuperLink(simulation=True, log_dir=Path("logs")) as superlink:
        run_app(superlink, Path("my-app"), name="my-run", timeout_seconds=600,
                federation_config=simulation_of(8))

Flower is driven by its command line only, as a user would.
"""

from __future__ import annotations

from flwr_digest.launch.leftovers import LaunchedProcess, leftover_processes
from flwr_digest.launch.runs import RunOutcome, await_end, run_app, simulation_of, submit
from flwr_digest.launch.superlink import SuperLink
from flwr_digest.launch.supernodes import SuperNodes

__all__ = [
    "LaunchedProcess",
    "RunOutcome",
    "SuperLink",
    "SuperNodes",
    "await_end",
    "leftover_processes",
    "run_app",
    "simulation_of",
    "submit",
]
