"""A Flower app whose model counts: each local step of a node adds 1 to the node's own value.

With equal weights of a power of two all sums are exact in float32, so the model tells how often
each step is in it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from flwr_digest.clients import digest_mod, digest_session
from flwr_digest.strategies import Digest

client_app = ClientApp(mods=[digest_mod])
server_app = ServerApp()


@client_app.train()
def train(message: Message, context: Context) -> Message:
    partition = int(context.node_config["partition-id"])
    with digest_session(message, steps=int(context.run_config["local-steps"])) as session:
        while session.going_on:
            counts = session.parameters()["counts"]
            counts[partition] += 1
            session.stepped({"counts": counts})
    return session.reply({"num-examples": 1})


@server_app.main()
def main(grid: Grid, context: Context) -> None:
    nodes, rounds = int(context.run_config["nodes"]), int(context.run_config["rounds"])
    strategy = Digest(
        fraction_evaluate=0.0,
        topology="complete",
        min_train_nodes=nodes,
        min_available_nodes=nodes,
    )
    initial = ArrayRecord({"counts": Array(np.zeros(nodes, np.float32))})
    result = strategy.start(grid=grid, initial_arrays=initial, num_rounds=rounds)
    told = {
        "counts": result.arrays["counts"].numpy().tolist(),
        "rounds": {str(n): dict(metrics) for n, metrics in result.train_metrics_clientapp.items()},
    }
    Path(str(context.run_config["results"])).write_text(json.dumps(told), encoding="utf-8")
