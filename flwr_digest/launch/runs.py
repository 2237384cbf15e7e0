"""Runs a Flower app on a private SuperLink, and waits for how it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flwr_digest.errors import ConfigError, DigestError
from flwr_digest.launch.asking import ask_flwr
from flwr_digest.launch.processes import Process, last_lines
from flwr_digest.launch.superlink import SuperLink
from flwr_digest.launch.waiting import wait_until
from flwr_digest.launch.workspace import CONNECTION, flower_program, key_values

Config = Mapping[str, str | int | float | bool]

_STATUS_SECONDS = 60.0
"""From the end of the log to the final status; both come from the same record of the SuperLink."""

_STATUS_PAUSE_SECONDS = 5.0
"""Each question starts a Python with all of Flower, which takes a core for a second."""

_COMPLETED = "finished:completed"


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """A run that has come to its proper end.

    Attributes
    ----------
    run_id : str
        Flower's number of the run.
    status : str
        Flower's word for how it ended.
    log_path : Path
        All that the run has logged.
    """

    run_id: str
    status: str
    log_path: Path


def simulation_of(nodes: int) -> dict[str, int]:
    """Return a federation configuration in which all nodes can run at once on any machine.

    Ray starts as many nodes as there are processors, and is told here that each node has one. The
    nodes of a decentralized session need each other: one that waits for a processor stops them all.
    """
    return {
        "num-supernodes": nodes,
        "client-resources-num-cpus": 1,
        "init-args-num-cpus": nodes,
    }


def run_app(
    superlink: SuperLink,
    app_dir: Path,
    *,
    name: str,
    run_config: Config | None = None,
    federation_config: Config | None = None,
    timeout_seconds: float,
    on_log: Callable[[str], None] = lambda _: None,
) -> RunOutcome:
    """Run an app, follow its log into `<name>.log`, and return when it has ended well.

    Parameters
    ----------
    superlink : SuperLink
        Where to run it.
    app_dir : Path
        The folder of the app's `pyproject.toml`.
    name : str
        Names the log file; not "superlink" nor "supernode-...", which have logs of their own.
    run_config, federation_config : Config, optional
        What to override of the app's and the federation's configuration.
    timeout_seconds : float
        How long the run may take.
    on_log : Callable[[str], None]
        Called about twice a second with the last line of the log.

    Raises
    ------
    ConfigError
        If the name or a value of the configuration is not allowed.
    DigestError
        If the run cannot be started, fails, or takes too long. In the last case it is still
        running, until the SuperLink is stopped.
    """
    if name.startswith(("superlink", "supernode-")):
        raise ConfigError(f'a run may not be named "{name}": Flower\'s own logs have such names')
    run_id = submit(superlink, app_dir, run_config, federation_config)
    return await_end(superlink, run_id, name=name, timeout_seconds=timeout_seconds, on_log=on_log)


def await_end(
    superlink: SuperLink,
    run_id: str,
    *,
    name: str,
    timeout_seconds: float,
    on_log: Callable[[str], None] = lambda _: None,
) -> RunOutcome:
    """Follow a run's log into `<name>.log`, and return when it has ended well: see `run_app`.

    Raises
    ------
    DigestError
        If the run fails, or takes too long.
    """
    log_path = _follow(superlink, run_id, name, timeout_seconds, on_log)
    # `flwr run --stream` ends with 0 when the run has failed: only the status can be trusted.
    status = _final_status(superlink, run_id)
    if status != _COMPLETED:
        raise DigestError(
            f"run {name} ended as {status}, see {log_path}; its last lines:\n{last_lines(log_path)}"
        )
    return RunOutcome(run_id=run_id, status=status, log_path=log_path)


def submit(
    superlink: SuperLink,
    app_dir: Path,
    run_config: Config | None = None,
    federation_config: Config | None = None,
) -> str:
    """Start a run of an app and return its id, without waiting for its end.

    Raises
    ------
    ConfigError
        If a value of the configuration is not allowed.
    DigestError
        If the run cannot be started.
    """
    command = ["run", str(app_dir), CONNECTION]
    command += ["--run-config", key_values(run_config)] if run_config else []
    command += ["--federation-config", key_values(federation_config)] if federation_config else []
    return str(ask_flwr(superlink.workspace, command)["run-id"])


def _follow(
    superlink: SuperLink,
    run_id: str,
    name: str,
    timeout_seconds: float,
    on_log: Callable[[str], None],
) -> Path:
    """Write the run's log to a file until it is complete."""
    command = [flower_program("flwr"), "log", run_id, CONNECTION, "--stream"]
    follower = Process(superlink.workspace, name, command)

    def log_is_complete() -> bool:
        on_log(last_lines(follower.log_path, 1))
        return not follower.is_running

    try:
        wait_until(
            log_is_complete,
            timeout_seconds,
            f"the end of run {run_id}; see {follower.log_path}",
            longest_pause_seconds=0.5,
        )
    finally:
        follower.stop()
    return follower.log_path


def _final_status(superlink: SuperLink, run_id: str) -> str:
    status = ""

    def is_final() -> bool:
        nonlocal status
        [run] = ask_flwr(superlink.workspace, ["list", CONNECTION, "--run-id", run_id])["runs"]
        status = str(run["status"])
        return status.startswith("finished")

    wait_until(is_final, _STATUS_SECONDS, f"the status of run {run_id}", _STATUS_PAUSE_SECONDS)
    return status
