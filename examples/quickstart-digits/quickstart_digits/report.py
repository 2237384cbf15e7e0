"""What is left of a run: a JSON file, for whoever compares runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from flwr.app import MetricRecord
from flwr.serverapp.strategy import Result

from quickstart_digits.traffic import Traffic


def report(result: Result, traffic: Traffic, wall_seconds: float, path: str) -> None:
    """Write the metrics of the last round and what the run cost to the file `path`, if given."""
    if not path:
        return
    results = {
        **_last_round(result.train_metrics_clientapp),
        **_last_round(result.evaluate_metrics_clientapp),
        "wall_seconds": wall_seconds,
        "bytes_between_nodes": sum(
            _number(metrics, "digest-bytes-between-nodes")
            for metrics in result.train_metrics_clientapp.values()
        ),
        "model_bytes_through_server_in_training": traffic.training_bytes,
        **asdict(traffic),
    }
    Path(path).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _number(metrics: MetricRecord, key: str) -> float:
    """Return a metric that is one number; 0 where there is none."""
    value = metrics.get(key, 0)
    return 0 if isinstance(value, list) else value


def _last_round(metrics: dict[int, MetricRecord]) -> MetricRecord:
    """Return the metrics of the last round that has any."""
    return metrics[max(metrics)] if metrics else MetricRecord()
