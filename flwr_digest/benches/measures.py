"""What is measured of a process and of the machine, and how figures of several rounds are put."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles

Tell = Callable[[float], None]
"""Is told now and then which share is done, from 0 to 1."""

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): resets the peak resident set size to the present one


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """The middle half of the figures of all rounds."""

    low: float
    high: float


def spread(figures: Sequence[float]) -> Spread:
    """Return the quartiles of some figures; of a single one, itself."""
    if len(figures) == 1:
        return Spread(low=figures[0], high=figures[0])
    low, _, high = quantiles(figures, n=4, method="inclusive")
    return Spread(low=low, high=high)


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median over the rounds of `theirs` over `ours`: how many times as fast we are."""
    return median(their / our for our, their in zip(ours, theirs, strict=True))


def ratio_spread(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return the quartiles over the rounds of `theirs` over `ours`."""
    return spread([their / our for our, their in zip(ours, theirs, strict=True)])


def cpu_seconds() -> float:
    """Return the processor time that this process has used, all threads, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def reset_peak() -> int | None:
    """Begin to watch this process's memory anew; return what it holds now, in bytes.

    None where the system does not tell (it does on Linux).
    """
    try:
        _CLEAR.write_text(_RESET_PEAK, encoding="ascii")
    except OSError:
        return None
    return _status_bytes("VmRSS")


def peak_bytes() -> int | None:
    """Return the most memory that was resident since `reset_peak`; None where it is not told."""
    return _status_bytes("VmHWM")


def _status_bytes(name: str) -> int | None:
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.M)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Where figures were measured, as far as it matters.

    Attributes
    ----------
    cpus : int
        Processors of the machine.
    load : float
        Mean number of running processes during the last minute; above `cpus` figures suffer.
    """

    cpus: int
    load: float


def machine() -> dict[str, float]:
    """Return where this is measured, for the JSON document."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return asdict(Machine(cpus=os.cpu_count() or 1, load=load))
