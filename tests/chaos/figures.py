"""What journals tell of how fast streams travel, and of how long they were away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import mean

from tests.chaos.journal import Copy

Figures = dict[str, float | int | str]


def tours_of(arrivals: Iterable[Copy]) -> list[float]:
    """Return how many seconds each stream took to come back to each node, time after time."""
    times: dict[tuple[int, int], list[float]] = {}
    for line in arrivals:
        times.setdefault((line.stream, line.node), []).append(line.at)
    return [later - before for each in times.values() for before, later in pairwise(sorted(each))]


def tour_seconds(arrivals: Iterable[Copy]) -> float:
    """Return how long a tour takes, in seconds: the mean of all that were observed.

    Where only some are held by the pace, each node sees long ones and short ones.
    """
    return mean(tours_of(arrivals))


def longest_silence(arrivals: Iterable[Copy]) -> float:
    """Return the longest time, in seconds, in which a stream came to no node at all."""
    times: dict[int, list[float]] = {}
    for line in arrivals:
        times.setdefault(line.stream, []).append(line.at)
    gaps = [b - a for each in times.values() for a, b in pairwise(sorted(each))]
    return max(gaps, default=0.0)


def figures_of(arrivals: Sequence[Copy], tour: float) -> Figures:
    """Return what the arrivals between the first fault and the end tell of any session."""
    silence = longest_silence(arrivals)
    return {
        "visits": len(arrivals),
        "tour_seconds": round(tour, 3),
        "longest_silence_seconds": round(silence, 3),
        "longest_silence_tours": round(silence / tour, 2),
        "session_seconds": round(arrivals[-1].at - arrivals[0].at, 1),
    }
