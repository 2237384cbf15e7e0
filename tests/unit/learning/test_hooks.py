"""Each optimizer step is one local step, whichever optimizer and whatever the loop around it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from flwr_digest.core.ids import ShardId
from flwr_digest.errors import ConfigError
from flwr_digest.learning.flat import FlatModel
from flwr_digest.learning.handoff import Handoff
from flwr_digest.learning.hooks import StepHooks

SHARD = ShardId(0)
MakeOptimizer = Callable[[nn.Module], torch.optim.Optimizer]

OPTIMIZERS: dict[str, MakeOptimizer] = {
    "sgd": lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
    "momentum": lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
    "weight decay": lambda model: torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.01),
    "adam": lambda model: torch.optim.AdamW(model.parameters(), lr=0.01),
    "groups": lambda model: torch.optim.SGD(
        [
            {"params": [p for p in model.parameters() if p.ndim == 2], "lr": 0.1},
            {"params": [p for p in model.parameters() if p.ndim == 1], "lr": 0.01},
        ]
    ),
}


def small() -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def batch(number: int) -> torch.Tensor:
    return torch.randn(8, 3, generator=torch.Generator().manual_seed(number))


def hooked(
    model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[FlatModel, Handoff, StepHooks]:
    flat, handoff = FlatModel(model), Handoff()
    hooks = StepHooks(model, optimizer, handoff)
    handoff.bind(flat.vector, flat.repair)
    return flat, handoff, hooks


def backward(model: nn.Module, number: int) -> torch.Tensor:
    loss: torch.Tensor = model(batch(number)).square().mean()
    torch.autograd.backward(loss)
    return loss


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_step_is_told_and_training_is_what_it_would_be_without(name: str) -> None:
    shared, plain = small(), small()
    optimizer, reference = OPTIMIZERS[name](shared), OPTIMIZERS[name](plain)
    flat, handoff, _ = hooked(shared, optimizer)
    start = flat.vector.clone()
    for number in range(5):
        for model, steps in ((shared, optimizer), (plain, reference)):
            steps.zero_grad()
            backward(model, number)
            steps.step()
    taken = handoff.take(SHARD)
    assert taken is not None
    assert taken.steps == 5
    assert np.array_equal(taken.displacement, (flat.vector - start).numpy())
    mine, other = shared.state_dict(), plain.state_dict()
    assert all(torch.equal(mine[name], other[name]) for name in mine)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_optimizer_goes_on_from_a_rebased_model(name: str) -> None:
    model = small()
    optimizer = OPTIMIZERS[name](model)
    flat, handoff, _ = hooked(model, optimizer)
    backward(model, 0)
    optimizer.step()
    taken = handoff.take(SHARD)
    assert taken is not None
    brought = flat.vector.numpy() + np.float32(3.0)
    handoff.rebase(SHARD, brought, None)
    optimizer.zero_grad()
    backward(model, 1)
    optimizer.step()  # still from the old base; the rebase comes in at its end
    after = flat.vector.clone()
    taken = handoff.take(SHARD)
    assert taken is not None
    assert np.allclose(after.numpy(), brought + taken.displacement, atol=1e-6)
    optimizer.zero_grad()
    backward(model, 2)
    optimizer.step()
    assert not torch.equal(flat.vector, after)
    flat.check()


def test_gradient_accumulation_is_one_step() -> None:
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    _, handoff, _ = hooked(model, optimizer)
    for number in range(8):
        backward(model, number)
        if number % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()
    taken = handoff.take(SHARD)
    assert taken is not None
    assert taken.steps == 2


def test_a_step_that_the_grad_scaler_skips_is_none() -> None:
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    flat, handoff, _ = hooked(model, optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    scaler.scale(model(batch(0)).mean() * float("inf")).backward()
    scaler.step(optimizer)
    scaler.update()
    assert handoff.take(SHARD) is None
    optimizer.zero_grad()
    scaler.scale(model(batch(1)).mean()).backward()
    scaler.step(optimizer)
    scaler.update()
    taken = handoff.take(SHARD)
    assert taken is not None
    assert taken.steps == 1
    assert torch.isfinite(flat.vector).all()


def test_a_schedule_of_learning_rates_does_not_hide_the_steps() -> None:
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    _, handoff, _ = hooked(model, optimizer)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
    for number in range(3):
        backward(model, number)
        optimizer.step()
        schedule.step()
    taken = handoff.take(SHARD)
    assert taken is not None
    assert taken.steps == 3


def test_an_optimizer_that_calls_back_is_one_step() -> None:
    model = small()
    optimizer: torch.optim.Optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)
    _, handoff, _ = hooked(model, optimizer)

    def closure() -> float:
        optimizer.zero_grad()
        return backward(model, 0).item()

    optimizer.step(closure)
    taken = handoff.take(SHARD)
    assert taken is not None
    assert taken.steps == 1


def test_a_step_that_raises_does_not_stop_the_next() -> None:
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    _, handoff, _ = hooked(model, optimizer)
    with pytest.raises(ZeroDivisionError):
        optimizer.step(lambda: 1 / 0)
    backward(model, 0)
    optimizer.step()
    taken = handoff.take(SHARD)
    assert taken is not None
    assert taken.steps == 1


def test_a_part_of_the_model_may_be_frozen() -> None:
    model = small()
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    _, handoff, _ = hooked(model, optimizer)
    backward(model, 0)
    optimizer.step()
    assert handoff.take(SHARD) is not None


def test_the_optimizer_of_another_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="holds none of the model's parameters") as caught:
        StepHooks(small(), torch.optim.SGD(small().parameters(), lr=0.1), Handoff())
    assert "\n" not in str(caught.value)


def test_removed_hooks_leave_the_optimizer_alone() -> None:
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    _, handoff, hooks = hooked(model, optimizer)
    hooks.remove()
    backward(model, 0)
    optimizer.step()
    assert handoff.take(SHARD) is None


def test_tied_weights_move_alike_under_both_names() -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    flat, handoff, _ = hooked(model, optimizer)
    backward(model, 0)
    optimizer.step()
    taken = handoff.take(SHARD)
    assert taken is not None
    first, second = taken.displacement.reshape(2, 9)
    assert np.any(first != 0.0)
    assert np.array_equal(first, second)
    handoff.rebase(SHARD, flat.vector.numpy() + np.float32(1.0), None)
    handoff.settle()
    assert torch.equal(flat.vector[:9], flat.vector[9:])
    flat.check()
