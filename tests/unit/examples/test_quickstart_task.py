from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from flwr.app import MetricRecord, RecordDict

EXAMPLES = Path(__file__).parents[3] / "examples"
NODES = 8


@pytest.fixture(params=["quickstart-digits-fedavg", "quickstart-digits"])
def task(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(EXAMPLES / request.param))
    yield importlib.import_module("quickstart_digits.task")
    # Both apps have this package: the next one must not get this one's.
    for name in [name for name in sys.modules if name.partition(".")[0] == "quickstart_digits"]:
        del sys.modules[name]


@pytest.mark.parametrize("partition", ["iid", "by-label"])
def test_each_training_sample_belongs_to_one_node(task: ModuleType, partition: str) -> None:
    parts = [task.load_data(node, NODES, partition, 1) for node in range(NODES)]

    sizes = [len(train) for train, _ in parts]
    assert sum(sizes) == 1797 - task.TEST_SAMPLES
    assert max(sizes) - min(sizes) <= 1
    pixels, _ = parts[0][1].tensors
    assert all(torch.equal(test.tensors[0], pixels) for _, test in parts)
    everything = torch.cat([train.tensors[0] for train, _ in parts] + [pixels])
    assert len({tuple(row) for row in everything.tolist()}) == 1797


def test_by_label_each_node_has_few_digits(task: ModuleType) -> None:
    digits = [
        len(set(task.load_data(node, NODES, "by-label", 1)[0].tensors[1].tolist()))
        for node in range(NODES)
    ]

    assert max(digits) <= 3


def test_an_unknown_partition_is_refused(task: ModuleType) -> None:
    with pytest.raises(ValueError, match='partition is "thirds", but must be "iid" or "by-label"'):
        task.load_data(0, NODES, "thirds", 1)


def test_training_can_be_repeated_and_learns(task: ModuleType) -> None:
    def learned(order_seed: int) -> tuple[float, float]:
        torch.manual_seed(0)
        model = task.Net()
        samples, held_out = task.load_data(0, 1, "iid", 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
        task.train(model, optimizer, samples, 3, 16, order_seed)
        loss, accuracy = task.test(model, held_out)
        return loss, accuracy

    assert learned(5) == learned(5)
    assert learned(5) != learned(6)
    assert learned(5)[1] > 0.85


def test_mean_is_weighted_and_worst_is_not(task: ModuleType) -> None:
    contents = [
        RecordDict({"metrics": MetricRecord({"loss": loss, "accuracy": accuracy, "n": weight})})
        for loss, accuracy, weight in [(1.0, 0.5, 3), (2.0, 0.9, 1)]
    ]

    assert dict(task.mean_and_worst(contents, "n")) == pytest.approx(
        {"loss_mean": 1.25, "accuracy_mean": 0.6, "accuracy_worst": 0.5}
    )
