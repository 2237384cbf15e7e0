"""The ServerApp: the strategy, and what becomes of its results."""

from __future__ import annotations

import time

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr_digest.strategies import Digest

from quickstart_digits.report import report
from quickstart_digits.task import Net, mean_and_worst
from quickstart_digits.traffic import measure_traffic

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds, and report the results."""
    nodes = int(context.run_config["min-nodes"])
    torch.manual_seed(int(context.run_config["seed"]))
    traffic = measure_traffic(grid)

    strategy = Digest(
        min_train_nodes=nodes,
        min_evaluate_nodes=nodes,
        min_available_nodes=nodes,
        evaluate_metrics_aggr_fn=mean_and_worst,
        shards=int(context.run_config["shards"]),
        regions=int(context.run_config["regions"]),
        drift_correction=bool(context.run_config["drift-correction"]),
    )
    started = time.monotonic()
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(Net().state_dict()),
        train_config=ConfigRecord({"lr": float(context.run_config["learning-rate"])}),
        num_rounds=int(context.run_config["num-server-rounds"]),
    )
    wall_seconds = time.monotonic() - started
    report(result, traffic, wall_seconds, path=str(context.run_config["results"]))
