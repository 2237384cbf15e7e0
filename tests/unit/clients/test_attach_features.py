"""What a PyTorch loop may do while it is attached: against a loop of its own, moved by hand.

One loop is attached, and visits bring it models and corrections as a stream would. The other is
bare: its parameters are set, and its gradients corrected, by hand. Both must stay equal.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

from flwr_digest.clients.attached import AttachedTraining
from flwr_digest.clients.record import first_record
from flwr_digest.core.ids import ShardId
from flwr_digest.errors import ConfigError

SHARD = ShardId(0)
STEPS = 12
VISITS = {3: 0.5, 6: -0.25, 7: 0.125, 11: 0.0625}
"""After which local step a visit comes, and by how much what it brings differs."""

Make = Callable[[nn.Module], Optimizer]
Extra = Callable[[Optimizer], torch.optim.lr_scheduler.LRScheduler]


@dataclass(kw_only=True)
class Loop:
    """A user's loop with the features that a case has."""

    make: Make = lambda model: SGD(model.parameters(), lr=0.1)
    schedule: Extra | None = None
    clip: float | None = None
    backwards: int = 1
    autocast: bool = False
    scaled: bool = False
    frozen: bool = False
    skips: tuple[int, ...] = ()
    model: nn.Sequential = field(default_factory=lambda: small())

    def __post_init__(self) -> None:
        if self.frozen:
            self.model[0].requires_grad_(requires_grad=False)
        self.optimizer = self.make(self.model)
        self.scheduler = self.schedule(self.optimizer) if self.schedule else None
        self.scaler = torch.amp.GradScaler("cpu", init_scale=64.0, enabled=self.scaled)

    def step(self, number: int, correct: Callable[[nn.Module], None] | None = None) -> None:
        self.optimizer.zero_grad()
        for part in range(self.backwards):
            inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(number * 9 + part))
            context = torch.autocast("cpu", torch.bfloat16) if self.autocast else nullcontext()
            with context:
                loss = self.model(inputs).float().square().mean() / self.backwards
            if number in self.skips:
                loss = loss * float("inf")
            torch.autograd.backward(self.scaler.scale(loss))
        self.scaler.unscale_(self.optimizer)
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        if correct is not None:
            correct(self.model)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.scheduler is not None:
            self.scheduler.step()


def small() -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def groups(model: nn.Module) -> Optimizer:
    first, *rest = model.parameters()
    one: dict[str, Any] = {"params": [first], "lr": 0.2, "momentum": 0.5}
    return SGD([one, {"params": rest}], lr=0.05)


CASES: dict[str, Callable[[], Loop]] = {
    "plain": Loop,
    "momentum": lambda: Loop(make=lambda m: SGD(m.parameters(), lr=0.05, momentum=0.9)),
    "nesterov": lambda: Loop(
        make=lambda m: SGD(m.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    ),
    "weight decay": lambda: Loop(make=lambda m: SGD(m.parameters(), lr=0.1, weight_decay=0.1)),
    "parameter groups": lambda: Loop(make=groups),
    "a scheduler": lambda: Loop(
        schedule=lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=STEPS)
    ),
    "a cycle of rate and momentum": lambda: Loop(
        make=lambda m: SGD(m.parameters(), lr=0.1, momentum=0.9),
        schedule=lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.2, total_steps=STEPS + 1),
    ),
    "clipping": lambda: Loop(clip=0.05),
    "accumulation": lambda: Loop(backwards=3),
    "autocast": lambda: Loop(autocast=True),
    "a gradient scaler": lambda: Loop(scaled=True, clip=0.5),
    "steps that the scaler leaves out": lambda: Loop(scaled=True, skips=(2, 5)),
    "frozen layers": lambda: Loop(frozen=True),
    "an optimizer of a part": lambda: Loop(make=lambda m: SGD(list(m.parameters())[:2], lr=0.1)),
    "Adam": lambda: Loop(make=lambda m: Adam(m.parameters(), lr=0.01)),
    "AdamW": lambda: Loop(make=lambda m: AdamW(m.parameters(), lr=0.01)),
    "RMSprop": lambda: Loop(make=lambda m: RMSprop(m.parameters(), lr=0.01)),
    "Adagrad": lambda: Loop(make=lambda m: Adagrad(m.parameters(), lr=0.01)),
}


def attached(loop: Loop, *, drift_correction: bool = False) -> AttachedTraining:
    record = first_record(ArrayRecord(loop.model.state_dict()), life=1)
    training = AttachedTraining(loop.model, loop.optimizer, record)
    size = record.layout.size
    training.trainer.divide([slice(0, size)], drift_correction=drift_correction)
    training.begin()
    return training


def floats(model: nn.Module) -> torch.Tensor:
    """Return all that travels, one after another."""
    found = [value for value in model.state_dict().values() if value.is_floating_point()]
    return torch.cat([value.flatten() for value in found])


def set_floats(model: nn.Module, values: torch.Tensor) -> None:
    begin = 0
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.copy_(values[begin : begin + value.numel()].view_as(value))
            begin += value.numel()


def add_to_gradients(model: nn.Module, flat: torch.Tensor, held: set[int]) -> None:
    begin = 0
    named = dict(model.named_parameters())
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            parameter = named.get(name)
            if parameter is not None and parameter.grad is not None and id(parameter) in held:
                parameter.grad += flat[begin : begin + value.numel()].view_as(value)
            begin += value.numel()


@pytest.mark.parametrize("drift_correction", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_a_visited_loop_goes_as_one_that_is_moved_by_hand(
    name: str, drift_correction: bool
) -> None:
    mine, hand = CASES[name](), CASES[name]()
    training = attached(mine, drift_correction=drift_correction)
    held = {id(p) for group in hand.optimizer.param_groups for p in group["params"]}
    correction = torch.zeros_like(floats(hand.model))
    base, counted = floats(hand.model), 0
    for number in range(STEPS):
        mine.step(number)
        hand.step(number, lambda model: add_to_gradients(model, correction, held))  # noqa: B023
        counted += number not in hand.skips
        if (change := VISITS.get(number)) is not None:
            taken = training.trainer.take(SHARD)
            assert taken is not None
            assert taken.steps == counted
            moved = floats(hand.model) - base
            np.testing.assert_allclose(taken.displacement, moved.numpy(), atol=2e-6)
            base, counted = floats(hand.model) + change, 0
            set_floats(hand.model, base)
            news = None
            if drift_correction:
                correction = torch.linspace(-change, change, len(base))
                news = correction.numpy().copy()
            training.trainer.rebase(SHARD, base.numpy().copy(), news)
            training.trainer.settle()
    torch.testing.assert_close(floats(mine.model), floats(hand.model), rtol=1e-5, atol=2e-5)
    training.check()


def test_momentum_amplifies_the_correction_as_it_does_the_gradient() -> None:
    """By hand: with a gradient g and a correction c the step ends up as lr (g + c) / (1 - m)."""
    model = nn.Linear(1, 1, bias=False)
    loop = Loop(make=lambda m: SGD(m.parameters(), lr=0.1, momentum=0.9))
    loop.model = nn.Sequential(model)
    loop.optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    training = attached(loop, drift_correction=True)
    start = floats(loop.model).numpy()
    training.trainer.rebase(SHARD, start, np.array([0.25], dtype=np.float32))
    training.trainer.settle()
    last = 0.0
    for _ in range(300):
        last = model.weight.item()
        model.weight.grad = torch.tensor([[0.5]])
        loop.optimizer.step()
    assert last - model.weight.item() == pytest.approx(0.1 * (0.5 + 0.25) / (1 - 0.9), rel=1e-3)
    taken = training.trainer.take(SHARD)
    assert taken is not None
    assert taken.gradients is not None
    assert taken.gradients.tolist() == [150.0]  # 300 times 0.5: rates are of gradients, uncorrected


def test_layers_that_are_thawed_later_are_corrected_then() -> None:
    loop = Loop(make=lambda m: SGD(list(m.parameters())[:2], lr=1.0))
    training = attached(loop, drift_correction=True)
    last = loop.model[2]
    loop.optimizer.add_param_group({"params": last.parameters()})
    before = floats(loop.model)
    ones = np.ones(len(before), dtype=np.float32)
    training.trainer.rebase(SHARD, before.numpy().copy(), ones)
    training.trainer.settle()
    for parameter in last.parameters():
        parameter.grad = torch.zeros_like(parameter)
    loop.optimizer.step()
    assert (before - floats(loop.model)).tolist() == pytest.approx([0.0] * 32 + [1.0] * 5, abs=1e-6)


def test_a_second_optimizers_work_is_shared_with_the_next_step_of_the_first() -> None:
    loop = Loop(make=lambda m: SGD(list(m.parameters())[:2], lr=0.1))
    other = SGD(loop.model[2].parameters(), lr=0.1)
    training = attached(loop)
    start = floats(loop.model)
    loop.step(0)
    other.step()
    taken = training.trainer.take(SHARD)
    assert taken is not None
    assert taken.steps == 1
    moved = floats(loop.model) - start
    np.testing.assert_allclose(taken.displacement, moved.numpy(), atol=1e-6)
    assert np.any(taken.displacement[-5:])


@pytest.mark.parametrize("drift_correction", [False, True])
def test_a_model_that_is_moved_is_refused_at_the_next_step(drift_correction: bool) -> None:
    loop = Loop()
    attached(loop, drift_correction=drift_correction)
    loop.step(0)
    loop.model.double().float()
    with pytest.raises(ConfigError, match=r"0\.weight was moved after attach\(\)") as caught:
        loop.step(1)
    assert "\n" not in str(caught.value)


def test_a_layer_that_is_added_is_refused_at_the_end() -> None:
    loop = Loop()
    training = attached(loop)
    loop.model.append(nn.Linear(1, 1))
    loop.step(0)
    with pytest.raises(ConfigError, match="was added after attach"):
        training.check()


@pytest.mark.parametrize(
    ("model", "optimizer", "told"),
    [
        (SGD([torch.zeros(1)], lr=0.1), small(), "the model is SGD: it must be a torch.nn.Module"),
        (small(), "sgd", "the optimizer is str: it must be a torch.optim.Optimizer"),
    ],
)
def test_other_things_than_a_model_and_an_optimizer_are_refused(
    model: nn.Module, optimizer: Optimizer, told: str
) -> None:
    record = first_record(ArrayRecord(small().state_dict()), life=1)
    with pytest.raises(ConfigError, match=told) as caught:
        AttachedTraining(model, optimizer, record)
    assert "\n" not in str(caught.value)
