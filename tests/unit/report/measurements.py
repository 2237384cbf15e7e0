"""Measurements that were not measured."""

from __future__ import annotations

from collections.abc import Sequence

from flwr_digest.report.curves import Curve
from flwr_digest.sim.record import Row


def row(time_seconds: float, gap: float, bytes_sent: int) -> Row:
    """Return a measurement with a worst node that is twice as far off."""
    return Row(
        time_seconds=time_seconds,
        steps=time_seconds,
        gap_mean=gap,
        gap_worst=2 * gap,
        gap_of_average=gap,
        accuracy_mean=0.9,
        accuracy_worst=0.8,
        consensus_distance=0.1,
        models_sent=bytes_sent / 100,
        bytes_sent=bytes_sent,
        idle_share=0.0,
        staleness_steps=None,
    )


def curve_of(*gaps: Sequence[float], label: str = "any", bytes_a_second: int = 1000) -> Curve:
    """Return a curve with a run for each sequence of gaps, measured every second."""
    runs = [
        [row(float(n), gap, n * bytes_a_second) for n, gap in enumerate(run, start=1)]
        for run in gaps
    ]
    return Curve(label=label, runs=runs)
