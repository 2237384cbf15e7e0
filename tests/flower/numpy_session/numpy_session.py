"""A Flower app that loads quickly: least squares, by a loop in NumPy with a session of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from flwr_digest.clients import digest_mod, digest_session
from flwr_digest.strategies import Digest

Floats = npt.NDArray[np.float64]

SIZE = 64
WEIGHTS = np.sin(np.arange(SIZE))  # to be found
SAMPLES = 256
LEARNING_RATE = 0.2

client_app = ClientApp(mods=[digest_mod])
server_app = ServerApp()


def load_data(partition_id: int) -> tuple[Floats, Floats]:
    """Return a node's samples, ``[n, d]`` and ``[n]``; each node sees mostly other axes."""
    generator = np.random.default_rng(partition_id)
    inputs = generator.normal(size=(SAMPLES, SIZE)) * generator.uniform(0.2, 1.0, size=SIZE)
    return inputs, inputs @ WEIGHTS


def distance(weights: npt.ArrayLike) -> float:
    """Return how far the weights are off, as a share of their length."""
    return float(np.linalg.norm(weights - WEIGHTS) / np.linalg.norm(WEIGHTS))


@client_app.train()
def train(message: Message, context: Context) -> Message:
    inputs, labels = load_data(int(context.node_config["partition-id"]))
    with digest_session(message, steps=int(context.run_config["local-steps"])) as session:
        while session.going_on:
            weights = session.parameters()["weights"]
            gradient = inputs.T @ (inputs @ weights - labels) / SAMPLES
            gradient = session.corrected({"weights": gradient})["weights"]
            session.stepped({"weights": weights - LEARNING_RATE * gradient})
    metrics = {"distance": distance(session.parameters()["weights"]), "num-examples": SAMPLES}
    return session.reply(metrics)


@server_app.main()
def main(grid: Grid, context: Context) -> None:
    nodes, rounds = int(context.run_config["nodes"]), int(context.run_config["rounds"])
    strategy = Digest(
        fraction_evaluate=0.0,  # ten seconds of each round (measured)
        min_train_nodes=nodes,
        min_available_nodes=nodes,
        shards=int(context.run_config["shards"]),
        regions=int(context.run_config["regions"]),
        drift_correction=True,
    )
    initial = ArrayRecord({"weights": Array(np.zeros(SIZE, np.float32))})
    result = strategy.start(grid=grid, initial_arrays=initial, num_rounds=rounds)
    report = {
        **result.train_metrics_clientapp[rounds],
        "server-distance": distance(result.arrays["weights"].numpy()),
    }
    Path(str(context.run_config["results"])).write_text(json.dumps(report), encoding="utf-8")
