"""Training loops that the overlay's cost is measured beside. Both models have about 1.1 MB."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn

BATCH_SIZE = 32
"""A common size, and small: the shorter a step, the more of it shows."""

LEARNING_RATE = 1e-4
"""So small that the made-up data can do no harm in any number of steps."""

SEED = 1


class Block(nn.Module):
    """Two convolutions and a way around them (He et al., arXiv 1512.03385, option A)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.stride = outputs // inputs
        self.more = outputs - inputs
        self.first = nn.Conv2d(inputs, outputs, 3, self.stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output, of half the size where it has twice the channels."""
        inner = torch.relu(self.first_norm(self.first(x)))
        around = nn.functional.pad(
            x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more)
        )
        return torch.relu(self.second_norm(self.second(inner)) + around)


def resnet20() -> nn.Module:
    """Return ResNet-20 for 32 x 32 images in ten classes: 270,000 parameters."""
    widths = [16] * 4 + [32] * 3 + [64] * 3
    blocks = [Block(a, b) for a, b in pairwise(widths)]
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(*stem, *blocks, *head)


def mlp() -> nn.Module:
    """Return LeNet-300-100 (LeCun et al., 1998): 267,000 parameters in three layers."""
    layers = [nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)]
    return nn.Sequential(*layers)


LOOPS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (mlp, (784,)),
    "resnet-20": (resnet20, (3, 32, 32)),
}
"""By name: what makes the model, and the shape of a sample."""


class Loop:
    """A model, its optimizer, and one made-up batch that it is trained on again and again.

    Torch is told to use one thread: that is what a node next to others may use.
    """

    def __init__(self, name: str) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(SEED)
        make, shape = LOOPS[name]
        self.model = make()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=LEARNING_RATE)
        generator = torch.Generator().manual_seed(SEED)
        self._x = torch.randn(BATCH_SIZE, *shape, generator=generator)
        self._y = torch.randint(10, (BATCH_SIZE,), generator=generator)

    def step(self) -> None:
        """Make one local step."""
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(self._x), self._y)
        torch.autograd.backward(loss)
        self.optimizer.step()
