"""A private SuperLink: started on a free port, and stopped with all that it started."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from flwr_digest.errors import ConfigError, DigestError
from flwr_digest.launch.commands import connection_toml, superlink_command
from flwr_digest.launch.credentials import ServerFiles, server_files
from flwr_digest.launch.leftovers import LaunchedProcess, leftover_processes
from flwr_digest.launch.ports import LOOPBACK, free_ports
from flwr_digest.launch.processes import Process
from flwr_digest.launch.workspace import CONNECTION, Workspace, with_path

START_SECONDS = 90.0
"""A SuperLink takes 3 s to start, 32 s with nothing cached yet (measured); and some to spare."""

SERVER_APP = "flwr-serverapp"
"""The program that Flower runs a ServerApp in."""


class SuperLink:
    """A SuperLink of our own, as a context manager.

    It does not touch the SuperLink that `flwr run` keeps for the user, nor the user's settings.

    Parameters
    ----------
    simulation : bool
        Whether it simulates the nodes itself; otherwise it waits for SuperNodes.
    log_dir : Path
        Where the logs of all processes go.
    secure : bool
        Whether it speaks TLS, and lets only those SuperNodes in that are registered by their keys.
        Certificates and keys are made for this launch alone, and are gone after it.
    environment : Mapping[str, str], optional
        Variables that all processes see in addition to the present ones.

    Raises
    ------
    ConfigError
        Simulated, and secure: nobody comes from outside.

    Attributes
    ----------
    address : str
        Where it can be called, ``HOST:PORT``; empty before it has started.
    """

    def __init__(
        self,
        *,
        simulation: bool,
        log_dir: Path,
        secure: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if simulation and secure:
            raise ConfigError(
                "secure=True is about who may come from outside: it goes with simulation=False"
            )
        self._secure = secure
        self._simulation = simulation
        self._log_dir = log_dir
        self._environment = environment or {}
        self._workspace: Workspace | None = None
        self._process: Process | None = None
        self._launch = ""
        self.address = ""
        self._files: ServerFiles | None = None

    @property
    def workspace(self) -> Workspace:
        """The surroundings that all processes of this launch share.

        Raises
        ------
        DigestError
            If the SuperLink is not running.
        """
        if self._workspace is None:
            raise DigestError("this SuperLink is not running: use it in a `with` statement")
        return self._workspace

    @property
    def ca_certificate(self) -> Path | None:
        """The certificate that it is trusted by, while it runs; None where it is not secure."""
        return None if self._files is None else self._files.ca_certificate

    def __enter__(self) -> Self:
        self._workspace = Workspace.create(self._log_dir, self._environment)
        self._launch = self._workspace.launch
        with ExitStack() as undo:  # whatever interrupts the start
            undo.callback(self.stop)
            self._start()
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the SuperLink and all processes that it started; nothing if it does not run."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        if self._workspace is not None:
            self._workspace.remove()
            self._workspace = self._files = None

    def kill(self) -> None:
        """Kill the SuperLink and its ServerApps without warning; SuperNodes stay.

        Raises
        ------
        DigestError
            If it is not running.
        """
        if self._process is None:
            raise DigestError("this SuperLink is not running: use it in a `with` statement")
        self._process.kill()

    def kill_server_app(self) -> None:
        """Kill the ServerApp that runs here, and nothing else.

        Raises
        ------
        DigestError
            If none runs as a process of its own: it does where there are SuperNodes.
        """
        found = [each for each in self.leftover_processes() if SERVER_APP in each.command]
        if not found:
            raise DigestError("no ServerApp runs here")
        for each in found:
            os.kill(each.pid, signal.SIGKILL)

    def leftover_processes(self) -> list[LaunchedProcess]:
        """Return what still runs of this launch, SuperNodes and their ClientApps included."""
        return leftover_processes(self._launch) if self._launch else []

    def _start(self) -> None:
        [port] = free_ports(1)
        self.address = f"{LOOPBACK}:{port}"
        self._files = server_files(self.workspace.home) if self._secure else None
        connection = connection_toml(CONNECTION, self.address, self.ca_certificate)
        self.workspace.write_connection(connection)
        command = superlink_command(self.address, simulation=self._simulation, files=self._files)
        self._process = Process(self.workspace, "superlink", with_path(command))
        self._process.wait_until_healthy(self.address, START_SECONDS, self.ca_certificate)
