"""The ClientApp: what each node does. As for FedAvg, but for the mod."""

from __future__ import annotations

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr_digest.clients import digest_mod
from sklearn.linear_model import LogisticRegression

from sklearn_logistic_regression.task import (
    Samples,
    get_weights,
    load_data,
    make_model,
    set_weights,
    test,
    train,
)

app = ClientApp(mods=[digest_mod])


@app.train()
def train_handler(message: Message, context: Context) -> Message:
    """Train the model that came with the message on this node's own samples."""
    samples, _ = _data(context)
    model = _model(message, context)
    loss = train(model, samples)
    content = RecordDict(
        {
            "arrays": ArrayRecord(get_weights(model)),
            "metrics": MetricRecord({"train_loss": loss, "num-examples": len(samples[0])}),
        }
    )
    return Message(content=content, reply_to=message)


@app.evaluate()
def evaluate_handler(message: Message, context: Context) -> Message:
    """Test the model that came with the message on the samples that all nodes share."""
    _, samples = _data(context)
    loss, accuracy = test(_model(message, context), samples)
    metrics = MetricRecord({"loss": loss, "accuracy": accuracy, "num-examples": len(samples[0])})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)


def _model(message: Message, context: Context) -> LogisticRegression:
    """Return the model with the arrays of the message."""
    model = make_model(epochs=int(context.run_config["local-epochs"]))
    set_weights(model, message.content.array_records["arrays"].to_numpy_ndarrays())
    return model


def _data(context: Context) -> tuple[Samples, Samples]:
    """Return this node's training samples and the test samples."""
    return load_data(
        partition_id=int(context.node_config["partition-id"]),
        num_partitions=int(context.node_config["num-partitions"]),
    )
