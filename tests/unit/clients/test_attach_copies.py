"""Copies that users make of a model in training, and what they wrap around it."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord
from torch import nn
from torch.optim import SGD

from flwr_digest.clients.attached import AttachedTraining
from flwr_digest.clients.record import first_record
from flwr_digest.core.ids import ShardId

SHARD = ShardId(0)


def small() -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def train(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    torch.autograd.backward(model(inputs).square().mean())
    optimizer.step()


def attached(model: nn.Module, optimizer: torch.optim.Optimizer) -> AttachedTraining:
    training = AttachedTraining(
        model, optimizer, first_record(ArrayRecord(small().state_dict()), 1)
    )
    training.begin()
    return training


def through_a_file(one: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(one, file)
    file.seek(0)
    loaded: nn.Module = torch.load(file, weights_only=False)
    return loaded


@pytest.mark.parametrize("how", [copy.deepcopy, through_a_file])
def test_a_copy_of_the_model_is_a_model_of_its_own(
    how: Callable[[nn.Module], nn.Module],
) -> None:
    model = small()
    training = attached(model, SGD(model.parameters(), lr=0.1))
    before = training.model
    other = how(model)
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(mine, copied) for mine, copied in pairs)
    train(other, SGD(other.parameters(), lr=0.1))
    assert training.trainer.take(SHARD) is None
    assert np.array_equal(training.model, before)
    training.check()


def test_a_copy_of_the_optimizer_is_not_listened_in_on() -> None:
    model = small()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    training = attached(model, optimizer)
    train(model, optimizer)
    both = copy.deepcopy((model, optimizer))
    train(*both)
    taken = training.trainer.take(SHARD)
    assert taken is not None
    assert taken.steps == 1


def test_a_running_average_of_the_model_follows_what_visits_bring() -> None:
    model = small()
    training = attached(model, SGD(model.parameters(), lr=0.1))
    average = torch.optim.swa_utils.AveragedModel(model)
    average.update_parameters(model)
    training.trainer.rebase(SHARD, training.model + np.float32(2.0), None)
    training.trainer.settle()
    (averaged, *_), (mine, *_) = average.module.parameters(), model.parameters()
    expected = ((averaged + mine) / 2).detach()
    average.update_parameters(model)
    torch.testing.assert_close(averaged.detach(), expected)
    training.check()


def compiled(model: nn.Module) -> nn.Module:
    wrapped: object = torch.compile(model, backend="eager")
    assert isinstance(wrapped, nn.Module)
    return wrapped


@pytest.mark.parametrize("wrap", [compiled, nn.DataParallel])
@pytest.mark.parametrize("late", [False, True])
def test_a_wrapped_model_trains_on_from_what_visits_bring(
    wrap: Callable[[nn.Module], nn.Module], late: bool
) -> None:
    """Also one that was wrapped and has run before its parameters became views."""
    model, hand = small(), small()
    wrapped, optimizer = wrap(model), SGD(model.parameters(), lr=0.1)
    if late:
        model.eval()
        wrapped(torch.ones(2, 3))
        model.train()
    training = attached(wrapped, optimizer)
    brought = training.model + np.float32(0.5)
    training.trainer.rebase(SHARD, brought.copy(), None)
    training.trainer.settle()
    with torch.no_grad():
        for value in hand.state_dict().values():
            if value.is_floating_point():
                value += 0.5
    train(wrapped, optimizer)
    train(hand, SGD(hand.parameters(), lr=0.1))
    for mine, other in zip(model.state_dict().values(), hand.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, other)
    training.check()
