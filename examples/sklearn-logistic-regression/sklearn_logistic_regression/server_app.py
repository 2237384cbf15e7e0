"""The ServerApp: the strategy, and what becomes of its results."""

from __future__ import annotations

import json
from pathlib import Path

from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Result
from flwr_digest.strategies import Digest

from sklearn_logistic_regression.task import get_weights, make_model

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds, and report the results."""
    nodes = int(context.run_config["min-nodes"])
    strategy = Digest(
        min_train_nodes=nodes,
        min_evaluate_nodes=nodes,
        min_available_nodes=nodes,
        calls_per_round=int(context.run_config["calls-per-round"]),
        local_steps=1,
    )
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(get_weights(make_model(epochs=1))),
        num_rounds=int(context.run_config["num-server-rounds"]),
    )
    if path := str(context.run_config["results"]):
        report(result, Path(path))


def report(result: Result, path: Path) -> None:
    """Write the metrics of the last round to a JSON file."""
    metrics = {
        **_last(result.train_metrics_clientapp),
        **_last(result.evaluate_metrics_clientapp),
    }
    path.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def _last(metrics: dict[int, MetricRecord]) -> MetricRecord:
    """Return the metrics of the last round that has any."""
    return metrics[max(metrics)] if metrics else MetricRecord()
