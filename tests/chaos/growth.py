"""What a process takes of its machine, and whether that grows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SIGMAS = 3.0  # a slope that far from 0 is no chance
SHARE = 0.02  # of what it takes: growth below that over the whole time is nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What one process took at one time.

    Attributes
    ----------
    at : float
        In seconds.
    memory_bytes : int
        Resident memory.
    descriptors, threads : int
        How many it had.
    """

    at: float
    memory_bytes: int
    descriptors: int
    threads: int


def sample(pid: int, at: float) -> Sample:
    """Return what a process takes now, by Linux's /proc."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    told = dict(line.split(":", 1) for line in status)
    return Sample(
        at=at,
        memory_bytes=int(told["VmRSS"].split()[0]) * 1024,
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        threads=int(told["Threads"]),
    )


def grows(times: Sequence[float], values: Sequence[float], least: float = 0.0) -> float:
    """Return by how much values grow over the whole time; 0 where it may be chance, or is little.

    A line is laid through them by least squares. Its slope counts if it is several of its own
    standard errors above 0, and if what it comes to is more than a small share of the values.

    Parameters
    ----------
    times : sequence of float
        When, in seconds.
    values : sequence of float
        What was measured then.
    least : float
        By how much values may grow in any case.
    """
    if len(times) < 3:
        return 0.0
    at, measured = np.asarray(times, dtype=float), np.asarray(values, dtype=float)
    at = at - at.mean()
    spread = float(at @ at)
    slope = float(at @ measured) / spread
    residuals = measured - measured.mean() - slope * at
    error = math.sqrt(float(residuals @ residuals) / (len(times) - 2) / spread)
    total = slope * float(at.max() - at.min())
    significant = slope > SIGMAS * error and total > max(SHARE * float(np.median(measured)), least)
    return total if significant else 0.0
