"""The ClientApp: what each node does."""

from __future__ import annotations

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from quickstart_digits.task import Net, Samples, load_data, test, train

# Nodes that share a machine get in each other's way when each of them uses all of its cores.
torch.set_num_threads(1)

app = ClientApp()


@app.train()
def train_handler(message: Message, context: Context) -> Message:
    """Train the model that came with the message on this node's own samples."""
    config = message.content.config_records["config"]
    samples, _ = _data(context)
    model = _model(message)
    optimizer = torch.optim.SGD(model.parameters(), lr=_real(config, "lr"))
    train_loss = train(
        model,
        optimizer,
        samples,
        epochs=int(context.run_config["local-epochs"]),
        batch_size=int(context.run_config["batch-size"]),
        order_seed=_order_seed(config, context),
    )
    metrics = MetricRecord({"train_loss": train_loss, "num-examples": len(samples)})
    content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics})
    return Message(content=content, reply_to=message)


@app.evaluate()
def evaluate_handler(message: Message, context: Context) -> Message:
    """Test the model that came with the message on the samples that all nodes share."""
    _, samples = _data(context)
    loss, accuracy = test(_model(message), samples)
    metrics = MetricRecord({"loss": loss, "accuracy": accuracy, "num-examples": len(samples)})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)


def _model(message: Message) -> Net:
    """Return the model with the arrays of the message."""
    model = Net()
    model.load_state_dict(message.content.array_records["arrays"].to_torch_state_dict())
    return model


def _data(context: Context) -> tuple[Samples, Samples]:
    """Return this node's training samples and the test samples."""
    return load_data(
        partition_id=int(context.node_config["partition-id"]),
        num_partitions=int(context.node_config["num-partitions"]),
        partition=str(context.run_config["partition"]),
        seed=int(context.run_config["seed"]),
    )


def _order_seed(config: ConfigRecord, context: Context) -> int:
    """Return a seed of its own for each node and round, so that a run can be repeated."""
    node = int(context.node_config["partition-id"])
    server_round = int(_real(config, "server-round"))
    return int(context.run_config["seed"]) * 1_000_000 + server_round * 1_000 + node


def _real(config: ConfigRecord, key: str) -> float:
    """Return a setting from the server that is one number."""
    value = config[key]
    if not isinstance(value, int | float):
        raise TypeError(f'setting "{key}" is {value!r}, but must be a number')
    return value
