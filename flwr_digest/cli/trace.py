"""All measurements of all runs as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Sequence

from flwr_digest.sim.record import Result


def trace_text(labels: Sequence[str], results: Sequence[Result]) -> str:
    """Return one line for each measurement: which run it is of, and all its figures."""
    lines = []
    for label, result in zip(labels, results, strict=True):
        run = {
            "label": label,
            "method": result.method,
            "settings": dict(result.settings),
            "scenario": result.scenario,
            "seed": result.seed,
        }
        series = result.series()
        for figures in zip(*series.values(), strict=True):
            row = dict(zip(series, figures, strict=True))
            lines.append(json.dumps({**run, **row}, allow_nan=False))
    return "".join(f"{line}\n" for line in lines)
