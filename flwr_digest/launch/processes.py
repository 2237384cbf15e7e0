"""One process of a launch, with its log, and its whole offspring ended with it."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

from flwr_digest.errors import DigestError
from flwr_digest.launch.leftovers import LaunchedProcess, end_processes, leftover_processes
from flwr_digest.launch.waiting import wait_until
from flwr_digest.launch.workspace import Workspace

GRACE_SECONDS = 5.0
"""Flower takes one to two seconds to end in order (measured); a machine under load a few more."""

_ANSWER_SECONDS = 1.0
"""A server that is up answers within milliseconds; a guess. It is asked again until it does."""

_LAST_LINES = 15
"""Holds the end of a Python traceback, and is still read."""


class Process:
    """A process in a session of its own; its output goes to the log file `<role>.log`.

    Starting it is the constructor's only job, so that there is no such object without a process.
    """

    def __init__(self, workspace: Workspace, role: str, command: Sequence[str]) -> None:
        self._role = role
        self._marker = f"{workspace.launch}/{role}"
        self._known: set[LaunchedProcess] | None = None  # to be ended; None before that is asked
        self.log_path = workspace.log_dir / f"{role}.log"
        with self.log_path.open("wb") as log:
            self._popen = subprocess.Popen(
                command,
                env=workspace.environment(role),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal must reach us alone: we end the others in order.
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Whether the process itself has not ended yet."""
        return self._popen.poll() is None

    def wait_until_healthy(
        self, address: str, timeout_seconds: float, ca_certificate: Path | None = None
    ) -> None:
        """Return once the process answers at the address as Flower's servers do.

        Parameters
        ----------
        address : str
            ``HOST:PORT``.
        timeout_seconds : float
            How long to wait at most.
        ca_certificate : Path, optional
            Of who has signed the server's certificate; None: the server speaks plaintext.

        Raises
        ------
        DigestError
            If it ends before, or does not answer in time.
        """
        trust = _trusting(ca_certificate)

        def healthy() -> bool:
            if not self.is_running:
                raise DigestError(
                    f"{self._role} ended with code {self._popen.returncode} while it started, "
                    f"see {self.log_path}; its last lines:\n{last_lines(self.log_path)}"
                )
            return _answers(address, trust)

        wait_until(healthy, timeout_seconds, f"{self._role} at {address}; see {self.log_path}")

    def ask_to_end(self) -> None:
        """Ask the process to end, without waiting; `stop` must follow."""
        if self._known is None:  # asked twice, Flower's programs end without order
            self._known = set(leftover_processes(self._marker))
            self._signal_group(signal.SIGTERM)

    def stop(self) -> None:
        """End the process and all that descend from it: first asked, then forced."""
        self.ask_to_end()
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(GRACE_SECONDS)
        self._end(self._known or (), signal.SIGTERM, signal.SIGKILL)

    def kill(self) -> None:
        """End them all at once, as a power cut would."""
        self._end(leftover_processes(self._marker), signal.SIGKILL)

    def _end(self, known: Iterable[LaunchedProcess], *signals: signal.Signals) -> None:
        end_processes(self._marker, signals, GRACE_SECONDS, known)
        # Where there is no `/proc`, this is all that can be done.
        self._signal_group(signal.SIGKILL)
        self._popen.wait()

    def _signal_group(self, sign: signal.Signals) -> None:
        # Not after the process has ended: its number may belong to somebody else by then.
        if self.is_running:
            os.killpg(self._popen.pid, sign)


def last_lines(path: Path, count: int = _LAST_LINES) -> str:
    """Return the end of a text file; empty if there is none."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


def _trusting(ca_certificate: Path | None) -> ssl.SSLContext | None:
    return None if ca_certificate is None else ssl.create_default_context(cafile=ca_certificate)


def _answers(address: str, trust: ssl.SSLContext | None) -> bool:
    """Ask directly: a proxy that the environment names is of no use on this machine."""
    asked: HTTPConnection = (
        HTTPSConnection(address, timeout=_ANSWER_SECONDS, context=trust)
        if trust
        else HTTPConnection(address, timeout=_ANSWER_SECONDS)
    )
    with closing(asked) as connection:
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
