"""Drift correction acts on the optimizer's own gradients, and measures them as they were."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from flwr_digest.core.ids import ShardId
from flwr_digest.errors import ConfigError, LocalProtocolError
from flwr_digest.learning.flat import FlatModel
from flwr_digest.learning.handoff import Handoff
from flwr_digest.learning.hooks import StepHooks

SHARD = ShardId(0)
Make = Callable[[nn.Module], torch.optim.Optimizer]
CORRECTED: dict[str, Make] = {
    "plain": lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
    "momentum": lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
    "nesterov": lambda model: torch.optim.SGD(
        model.parameters(), lr=0.1, momentum=0.9, nesterov=True
    ),
    "weight decay": lambda model: torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1),
    "fused": lambda model: torch.optim.SGD(model.parameters(), lr=0.1, fused=True),
    "maximize": lambda model: torch.optim.SGD(model.parameters(), lr=0.1, maximize=True),
    "groups": lambda model: torch.optim.SGD(
        [
            {"params": [p for p in model.parameters() if p.ndim == 2], "lr": 0.1},
            {"params": [p for p in model.parameters() if p.ndim == 1], "lr": 0.01},
        ]
    ),
    "adam": lambda model: torch.optim.Adam(model.parameters(), lr=0.01),
    "adamw": lambda model: torch.optim.AdamW(model.parameters(), lr=0.01),
    "rmsprop": lambda model: torch.optim.RMSprop(model.parameters(), lr=0.01),
    "adagrad": lambda model: torch.optim.Adagrad(model.parameters(), lr=0.01),
}


def small() -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def hooked(
    model: nn.Module, optimizer: torch.optim.Optimizer, shards: int = 1
) -> tuple[FlatModel, Handoff, StepHooks]:
    flat, handoff = FlatModel(model), Handoff()
    ends = np.linspace(0, flat.layout.size, shards + 1).astype(int).tolist()
    slices = [slice(a, b) for a, b in pairwise(ends)]
    handoff.divide(slices, drift_correction=True)
    hooks = StepHooks(model, optimizer, handoff)
    handoff.bind(flat.vector, flat.repair, flat.echoes)
    return flat, handoff, hooks


def backward(model: nn.Module, number: int) -> None:
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(number))
    torch.autograd.backward(model(x).square().mean())


def gradients_of(flat: FlatModel, model: nn.Module) -> npt.NDArray[np.float32]:
    """Return the gradients as they are now, laid out flat; 0 where there are none."""
    found = np.zeros(flat.layout.size, dtype=np.float32)
    named = dict(model.named_parameters())
    for entry, place in flat.layout.parts():
        gradient = named[entry.name].grad if entry.name in named else None
        if gradient is not None:
            found[place] = gradient.flatten().numpy()
    return found


def taken_gradients(handoff: Handoff, shard: ShardId = SHARD) -> npt.NDArray[np.floating]:
    taken = handoff.take(shard)
    assert taken is not None
    assert taken.gradients is not None
    return taken.gradients


def test_gradients_are_summed_as_they_were_before_the_correction() -> None:
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    flat, handoff, _ = hooked(model, optimizer)
    handoff.rebase(SHARD, flat.vector.numpy().copy(), np.ones(flat.layout.size, dtype=np.float32))
    expected = np.zeros(flat.layout.size, dtype=np.float32)
    for number in range(3):
        optimizer.zero_grad()
        backward(model, number)
        expected += gradients_of(flat, model)
        optimizer.step()

    np.testing.assert_array_equal(taken_gradients(handoff), expected)
    backward(model, 3)
    optimizer.step()
    assert not np.array_equal(taken_gradients(handoff), expected)  # begun anew


def test_statistics_of_batches_have_no_gradient() -> None:
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    flat, handoff, _ = hooked(model, optimizer)
    backward(model, 0)
    optimizer.step()

    gradients = taken_gradients(handoff)
    for entry, place in flat.layout.parts():
        assert np.any(gradients[place]) == ("running" not in entry.name), entry.name


@pytest.mark.parametrize("name", CORRECTED)
def test_training_is_what_it_would_be_with_the_correction_in_each_gradient(name: str) -> None:
    shared, plain = small(), small()
    optimizer, reference = CORRECTED[name](shared), CORRECTED[name](plain)
    flat, handoff, _ = hooked(shared, optimizer, shards=3)
    other = FlatModel(plain)
    correction = np.linspace(-1, 1, flat.layout.size, dtype=np.float32)
    ends = np.linspace(0, flat.layout.size, 4).astype(int)
    for shard in range(3):
        place = slice(ends[shard], ends[shard + 1])
        handoff.rebase(ShardId(shard), flat.vector.numpy()[place].copy(), correction[place])
    handoff.settle()
    for number in range(5):
        for model, steps in ((shared, optimizer), (plain, reference)):
            steps.zero_grad()
            backward(model, number)
            if model is plain:
                named = dict(plain.named_parameters())
                for entry, place in other.layout.parts():
                    parameter = named.get(entry.name)
                    if parameter is not None and parameter.grad is not None:
                        part = torch.from_numpy(correction[place])
                        parameter.grad += part.view(entry.shape)
            steps.step()

    assert torch.equal(flat.vector, other.vector)


def test_no_new_correction_leaves_the_old_one_as_it_is() -> None:
    model = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    flat, handoff, _ = hooked(model, optimizer)
    zeros = np.zeros(2, dtype=np.float32)
    handoff.rebase(SHARD, zeros, np.array([1.0, -2.0], dtype=np.float32))
    handoff.rebase(SHARD, zeros, None)
    handoff.settle()
    model.weight.grad = torch.zeros(1, 2)
    optimizer.step()
    assert flat.vector.tolist() == [-1.0, 2.0]


def test_corrections_of_all_shards_can_be_dropped_at_once() -> None:
    model = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    flat, handoff, _ = hooked(model, optimizer, shards=2)
    zero, one = np.zeros(1, dtype=np.float32), np.ones(1, dtype=np.float32)
    for shard in range(2):
        handoff.rebase(ShardId(shard), zero, one)
    handoff.uncorrect()
    handoff.settle()
    model.weight.grad = torch.tensor([[3.0, 4.0]])
    optimizer.step()
    assert flat.vector.tolist() == [-3.0, -4.0]
    assert taken_gradients(handoff).tolist() == [3.0]
    handoff.rebase(SHARD, zero, one)  # a new one corrects its own shard only
    handoff.settle()
    model.weight.grad = torch.tensor([[3.0, 4.0]])
    optimizer.step()
    assert flat.vector.tolist() == [-4.0, -8.0]


def test_without_a_correction_there_is_none_to_drop() -> None:
    handoff = Handoff()
    handoff.uncorrect()
    handoff.bind(torch.zeros(1))
    handoff.uncorrect()


def test_a_parameter_without_a_gradient_is_not_corrected() -> None:
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(1, 1, bias=False))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    flat, handoff, _ = hooked(model, optimizer)
    before = flat.vector.clone()
    handoff.rebase(SHARD, before.numpy(), np.ones(3, dtype=np.float32))
    handoff.settle()
    model[0].weight.grad = torch.zeros(1, 2)
    optimizer.step()
    assert (flat.vector - before).tolist() == [-1.0, -1.0, 0.0]


def test_what_the_optimizer_does_not_train_is_not_measured() -> None:
    model = small()
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    flat, handoff, _ = hooked(model, optimizer)
    backward(model, 0)
    optimizer.step()
    gradients = taken_gradients(handoff)
    for entry, place in flat.layout.parts():
        assert np.any(gradients[place]) == entry.name.startswith("2."), entry.name


def test_a_step_that_the_grad_scaler_skips_is_not_measured() -> None:
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    flat, handoff, _ = hooked(model, optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    x = torch.ones(4, 3)
    scaler.scale(model(x).mean() * float("inf")).backward()
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    scaler.scale(model(x).mean()).backward()
    scaler.unscale_(optimizer)
    expected = gradients_of(flat, model)
    scaler.step(optimizer)

    np.testing.assert_array_equal(taken_gradients(handoff), expected)


def test_the_gradient_of_tied_weights_is_measured_once() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    _, handoff, _ = hooked(model, optimizer)
    model[0].weight.grad = torch.ones(2, 2)
    optimizer.step()
    assert taken_gradients(handoff).tolist() == [1.0] * 4 + [0.0] * 4


# --- refusals -----------------------------------------------------------------------------------


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", [torch.optim.Adadelta, torch.optim.Rprop, torch.optim.LBFGS])
def test_optimizers_that_were_not_measured_are_refused(kind: type[torch.optim.Optimizer]) -> None:
    model = small()
    optimizer = kind(model.parameters())  # type: ignore[call-arg]
    told = refused(lambda: hooked(model, optimizer))
    assert "was measured with SGD, Adam, AdamW, RMSprop, Adagrad" in told
    assert told.endswith(f"this is {kind.__name__}: use one of these, or drift_correction=False")


def test_a_closure_is_refused_and_the_overlay_is_not_held_up() -> None:
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    _, handoff, _ = hooked(model, optimizer)
    told = refused(lambda: optimizer.step(lambda: 0.0))
    assert "call backward() first, then optimizer.step() without a closure" in told
    assert handoff.take(SHARD) is None


def test_a_fused_optimizer_under_a_grad_scaler_is_refused() -> None:
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)
    hooked(model, optimizer)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(model(torch.ones(4, 3)).mean()).backward()
    assert "make it with fused=False" in refused(lambda: scaler.step(optimizer))


def test_a_second_optimizer_of_the_model_is_refused_and_one_of_another_model_is_not() -> None:
    model, other = small(), small()
    one = torch.optim.SGD(model[0].parameters(), lr=0.1)
    two = torch.optim.SGD(model[2].parameters(), lr=0.1)
    foreign = torch.optim.SGD(other.parameters(), lr=0.1)
    _, _, hooks = hooked(model, one)
    backward(model, 0)
    backward(other, 0)
    one.step()
    foreign.step()
    assert "use one with several parameter groups" in refused(two.step)
    hooks.remove()
    two.step()


def test_sparse_gradients_are_refused() -> None:
    model = nn.Embedding(4, 2, sparse=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    _, handoff, _ = hooked(model, optimizer)
    torch.autograd.backward(model(torch.tensor([1])).sum())
    assert "sparse=False" in refused(optimizer.step)
    handoff.leave_step()
    assert handoff.take(SHARD) is None


def test_a_model_that_was_moved_away_is_noticed_at_the_next_step() -> None:
    model = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    hooked(model, optimizer)
    model.weight.data = torch.zeros(1, 2)
    model.weight.grad = torch.zeros(1, 2)
    assert "was moved after attach()" in refused(optimizer.step)


def test_a_correction_without_the_plans_is_our_own_mistake() -> None:
    handoff = Handoff()
    handoff.bind(torch.zeros(1))
    one = np.ones(1, dtype=np.float32)
    with pytest.raises(LocalProtocolError, match="a correction before the first step"):
        handoff.rebase(SHARD, one, one)
