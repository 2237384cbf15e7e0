"""Finds and ends every process that descends from a launch, however far it has detached itself.

Flower and Ray start processes that leave their parent's session and outlive it, so neither the
process group nor the tree of parents is enough. What they cannot shake off is their environment:
each process of a launch inherits the variable `FLWR_DIGEST_LAUNCH`. Its value is "<launch>/<role>",
where the launch is unique and the role names the process that we started ourselves.

Ray's workers write their title over their environment, so the descendants of marked processes
belong to the launch too. This needs Linux's `/proc`. Elsewhere nothing is found here, and only the
process groups that we started are ended: Flower's own processes then end on their own when their
parent is gone, and so do Ray's.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARKER_VARIABLE = "FLWR_DIGEST_LAUNCH"

_PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True, order=True)
class LaunchedProcess:
    """A process that belongs to a launch.

    Attributes
    ----------
    pid : int
        Its process id.
    start_time : int
        When it started, in the system's own unit; with the id it names one process for good.
    command : str
        Its command line when it was found, for a person to read.
    """

    pid: int
    start_time: int
    command: str

    @property
    def is_running(self) -> bool:
        """Whether this very process still runs, whoever has its number now."""
        entry = _entry(self.pid)
        return entry is not None and entry.start_time == self.start_time


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """What the process table says of a process."""

    parent: int
    start_time: int


def leftover_processes(marker: str) -> list[LaunchedProcess]:
    """Return the processes of a launch, or of one role of it, that run right now.

    Parameters
    ----------
    marker : str
        "<launch>" for a whole launch, "<launch>/<role>" for one role.

    Returns
    -------
    list[LaunchedProcess]
        Ordered by process id; without zombies, which hold nothing but their number.
    """
    table = _process_table()
    found = _with_descendants({pid for pid in table if _is_marked(pid, marker)}, table)
    found.discard(os.getpid())
    return sorted(
        LaunchedProcess(pid=pid, start_time=table[pid].start_time, command=_command(pid))
        for pid in found
    )


def end_processes(
    marker: str,
    signals: Sequence[signal.Signals],
    grace_seconds: float,
    known: Iterable[LaunchedProcess] = (),
) -> None:
    """End all processes of a launch or of one role: each signal in turn, then the grace.

    Parameters
    ----------
    marker : str
        As in `leftover_processes`.
    signals : Sequence[signal.Signals]
        From the polite to the forcible one.
    grace_seconds : float
        How long to wait after each signal at most.
    known : Iterable[LaunchedProcess]
        What was found before: a process without the marker cannot be found once its parent ended.
    """
    known = set(known)
    for sign in signals:
        deadline = time.monotonic() + grace_seconds
        # Again and again: a process that was told to end may have started another one meanwhile.
        while time.monotonic() < deadline:
            known = {each for each in known if each.is_running} | set(leftover_processes(marker))
            if not known:
                return
            _signal_and_wait(known, sign, deadline)


def _signal_and_wait(
    processes: Iterable[LaunchedProcess], sign: signal.Signals, deadline: float
) -> None:
    handles = [handle for each in processes if (handle := _open(each)) is not None]
    try:
        for handle in handles:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, sign)
        for handle in handles:
            # A handle of a process becomes readable when the process ends.
            select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
    finally:
        for handle in handles:
            os.close(handle)


def _open(process: LaunchedProcess) -> int | None:
    """Return a handle that stays with this process, though its number may be given to another."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if process.is_running:
        return handle
    os.close(handle)
    return None


def _process_table() -> dict[int, _Entry]:
    """Return all processes that run; empty where there is no `/proc`."""
    if sys.platform != "linux":
        return {}
    numbers = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())
    return {pid: entry for pid in numbers if (entry := _entry(pid)) is not None}


def _entry(pid: int) -> _Entry | None:
    """Return what the table says of a process; None if it is gone, or is a zombie."""
    # "pid (name) state parent ... start_time ...", where the name may hold blanks and parentheses
    fields = _read(pid, "stat").rpartition(b") ")[2].split()
    if not fields or fields[0] in (b"Z", b"X"):
        return None
    return _Entry(parent=int(fields[1]), start_time=int(fields[19]))


def _with_descendants(roots: set[int], table: Mapping[int, _Entry]) -> set[int]:
    found = set(roots)
    while children := {pid for pid, entry in table.items() if entry.parent in found} - found:
        found |= children
    return found


def _is_marked(pid: int, marker: str) -> bool:
    assignment = f"{MARKER_VARIABLE}={marker}".encode()
    return any(
        variable == assignment or variable.startswith(assignment + b"/")
        for variable in _read(pid, "environ").split(b"\0")
    )


def _command(pid: int) -> str:
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def _read(pid: int, name: str) -> bytes:
    """Return a file of `/proc`; empty for processes that are gone, or that are not ours."""
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""
