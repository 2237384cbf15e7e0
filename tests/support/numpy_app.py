"""A train handler as FedAvg's users write it, in NumPy: no torch, nothing of DIGEST but the mod."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import Mod

from flwr_digest.clients import digest_mod

Handler = Callable[[Message, Context], Message]
PULL = 0.5  # how far a call goes to its node's own optimum


def start(kind: type = np.float32) -> ArrayRecord:
    """Return an initial model with a matrix, a vector, and a counter that stays local."""
    return ArrayRecord([np.ones((2, 3), kind), np.zeros(2, kind), np.array(0)])


def optimum(node: int) -> float:
    return float(node)


def trained(message: Message, node: int) -> list[npt.NDArray[np.generic]]:
    """Return the message's model after a call: half the way to the node's optimum, exactly."""
    weights, bias, count = message.content.array_records["arrays"].to_numpy_ndarrays()
    moved = [(values + PULL * (optimum(node) - values)).astype(values.dtype)
             for values in (weights, bias)]  # fmt: skip
    return [*moved, np.asarray(count + 1)]


def reply_to(message: Message, arrays: ArrayRecord, **metrics: float) -> Message:
    content = RecordDict(
        {"arrays": arrays, "metrics": MetricRecord({"num-examples": 10, **metrics})}
    )
    return Message(content, reply_to=message)


def fedavg_handler(message: Message, context: Context) -> Message:
    arrays = trained(message, context.node_id)
    return reply_to(message, ArrayRecord(arrays), calls=int(arrays[-1]))


def numpy_app(handler: Handler = fedavg_handler, mods: Iterable[Mod] = (digest_mod,)) -> ClientApp:
    app = ClientApp(mods=list(mods))
    app.train()(handler)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        weights, *_ = message.content.array_records["arrays"].to_numpy_ndarrays()
        metrics = MetricRecord({"mean": float(weights.mean()), "num-examples": 10})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return app
