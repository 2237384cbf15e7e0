"""The learning task: the model, its data, and how to train and to test it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from flwr.app import MetricRecord, RecordDict
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.optim.lr_scheduler import LinearLR
from torch.utils.data import DataLoader, TensorDataset

TEST_SAMPLES = 360
"""A fifth of the 1,797 digits; every node is tested on the same ones."""

Samples = TensorDataset


class Net(nn.Module):
    """A small network: 64 pixels, 32 hidden units, 10 digits."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(64, 32)
        self.output = nn.Linear(32, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the scores of the ten digits."""
        scores: Tensor = self.output(torch.relu(self.hidden(pixels)))
        return scores


def load_data(
    partition_id: int, num_partitions: int, partition: str, seed: int
) -> tuple[Samples, Samples]:
    """Return this node's training samples, and the test samples that all nodes share."""
    digits = load_digits()
    pixels = torch.tensor(digits.data / 16.0, dtype=torch.float32)
    labels = torch.tensor(digits.target, dtype=torch.int64)
    train, test = train_test_split(
        range(len(labels)), test_size=TEST_SAMPLES, stratify=labels, random_state=seed
    )
    mine = _partition(torch.tensor(train), labels, partition, num_partitions)[partition_id]
    return TensorDataset(pixels[mine], labels[mine]), TensorDataset(pixels[test], labels[test])


def _partition(train: Tensor, labels: Tensor, partition: str, parts: int) -> Sequence[Tensor]:
    """Cut the training samples, given by their indices, into equal parts."""
    if partition == "iid":  # train_test_split has shuffled them
        return train.tensor_split(parts)
    if partition == "by-label":
        return train[labels[train].argsort(stable=True)].tensor_split(parts)
    raise ValueError(f'partition is "{partition}", but must be "iid" or "by-label"')


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    samples: Samples,
    epochs: int,
    batch_size: int,
    order_seed: int,
) -> float:
    """Train the model, and return the mean loss over all local steps.

    The learning rate falls to almost nothing, so that whoever takes longer than the others does not
    end up with a model of its own.
    """
    order = torch.Generator().manual_seed(order_seed)
    loader = DataLoader(samples, batch_size=batch_size, shuffle=True, generator=order)
    steps = epochs * len(loader)
    schedule = LinearLR(optimizer, start_factor=1.0, end_factor=0.02, total_iters=steps)
    loss_of = nn.CrossEntropyLoss()
    losses: list[float] = []
    model.train()
    for _ in range(epochs):
        for pixels, labels in loader:
            optimizer.zero_grad()
            loss = loss_of(model(pixels), labels)
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    return sum(losses) / len(losses)


def test(model: nn.Module, samples: Samples) -> tuple[float, float]:
    """Return the model's loss and accuracy."""
    pixels, labels = samples.tensors
    model.eval()
    with torch.no_grad():
        scores = model(pixels)
    loss = nn.functional.cross_entropy(scores, labels).item()
    accuracy = (scores.argmax(dim=1) == labels).float().mean().item()
    return loss, accuracy


def mean_and_worst(contents: list[RecordDict], weighted_by_key: str) -> MetricRecord:
    """Sum up the nodes' test results: the weighted means, and the accuracy of the worst node."""
    metrics = [record for content in contents for record in content.metric_records.values()]
    weights = [_number(record, weighted_by_key) for record in metrics]

    def mean(key: str) -> float:
        values = [_number(record, key) for record in metrics]
        return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)

    return MetricRecord(
        {
            "loss_mean": mean("loss"),
            "accuracy_mean": mean("accuracy"),
            "accuracy_worst": min(_number(record, "accuracy") for record in metrics),
        }
    )


def _number(record: MetricRecord, key: str) -> float:
    """Return a metric that is one number, not a list of them."""
    value = record[key]
    if isinstance(value, list):
        raise TypeError(f'metric "{key}" is a list, but must be a number')
    return value
