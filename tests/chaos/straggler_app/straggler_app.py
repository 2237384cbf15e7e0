"""A Flower app that learns digits by softmax regression; each node tells how fast it was."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from sklearn.datasets import load_digits

from flwr_digest.clients import digest_mod, digest_session
from flwr_digest.strategies import Digest

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

FEATURES, CLASSES = 65, 10  # one of the features is 1
BATCH = 32
LEARNING_RATE = 6.0  # found by trying: less and more both learn later
LOOK_STEPS = 10

client_app = ClientApp(mods=[digest_mod])
server_app = ServerApp()


def digits_of(partitions: list[int], nodes: int) -> tuple[Floats, Labels]:
    """Return the digits of some nodes, ``[n, 65]`` and ``[n]``; all are dealt out in turn."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    mine = np.isin(np.arange(len(labels)) % nodes, partitions)
    inputs = np.hstack([images / 16, np.ones((len(images), 1))])
    return inputs[order][mine], labels[order][mine]


def gradient(weights: Floats, inputs: Floats, labels: Labels) -> Floats:
    """Return the gradient of the mean cross-entropy, shape ``[65, 10]``."""
    scores = inputs @ weights
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    odds[np.arange(len(labels)), labels] -= 1
    result: Floats = inputs.T @ odds / len(labels)
    return result


def accuracy(weights: Floats, inputs: Floats, labels: Labels) -> float:
    return float(np.mean((inputs @ weights).argmax(axis=1) == labels))


def tell(folder: object, name: str, told: dict[str, Any]) -> None:
    """Write a file for whoever compares the runs."""
    (Path(str(folder)) / name).write_text(json.dumps(told), encoding="utf-8")


@client_app.train()
def train(message: Message, context: Context) -> Message:
    config = context.run_config
    nodes, partition = int(config["nodes"]), int(context.node_config["partition-id"])
    slow = partition == int(config["straggler"])
    pause = float(config["straggler-seconds" if slow else "step-seconds"])
    inputs, labels = digits_of([partition], nodes)
    # What is never a straggler's: so runs with and without one are judged by the same digits.
    seen = digits_of(list(range(nodes - 1)), nodes)
    generator = np.random.default_rng([int(config["seed"]), partition])
    steps, curve = 0, []
    with digest_session(message, steps=int(config["local-steps"])) as session:
        began = time.monotonic()
        while session.going_on:
            time.sleep(pause)  # the local step of a small device
            chosen = generator.integers(len(labels), size=BATCH)
            weights = session.parameters()["weights"].astype(float)
            step = LEARNING_RATE * gradient(weights, inputs[chosen], labels[chosen])
            session.stepped({"weights": weights - step})
            steps += 1
            if steps % LOOK_STEPS == 0:
                curve.append((time.monotonic() - began, accuracy(weights, *seen)))
        seconds = time.monotonic() - began
    last = accuracy(session.parameters()["weights"].astype(float), *seen)
    told = {"steps": steps, "seconds": seconds, "curve": curve, "last": last}
    tell(config["results"], f"node-{partition}.json", told)
    return session.reply({"accuracy": last, "num-examples": len(labels)})


@server_app.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    nodes = int(config["nodes"])
    common: dict[str, Any] = {
        "fraction_evaluate": 0.0,
        "min_train_nodes": nodes,
        "min_available_nodes": nodes,
    }
    strategy: FedAvg
    if config["method"] == "fedavg":
        strategy = FedAvg(**common)
    else:
        strategy = Digest(**common, session_seconds=float(config["session-seconds"]))
    initial = ArrayRecord({"weights": Array(np.zeros((FEATURES, CLASSES), np.float32))})
    began = time.monotonic()
    result = strategy.start(grid=grid, initial_arrays=initial, num_rounds=1)
    told = {**result.train_metrics_clientapp[1], "seconds": time.monotonic() - began}
    tell(config["results"], "round.json", told)
