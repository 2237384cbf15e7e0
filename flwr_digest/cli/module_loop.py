"""What simulators often do: a PyTorch module and an optimizer for each node, one after the other.

Here and not with the simulator, which needs no torch.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from flwr_digest.errors import ConfigError

if TYPE_CHECKING:
    from flwr_digest.sim.problem import Problem

SHARE = 0.1
"""Of the local steps: the loop is so much slower that these take long enough to be measured."""


def check_torch() -> None:
    """Raise `ConfigError` where torch is missing."""
    if find_spec("torch") is None:
        raise ConfigError(
            "bench compares with PyTorch, which is missing: pip install 'flwr-digest[sim,torch]'"
        )


def module_loop(problem: Problem) -> float:
    """Make some of the problem's local steps, of softmax regression on its data.

    Returns
    -------
    float
        How many, at all nodes together.
    """
    import torch  # an extra, and slow to load

    data, scenario = problem.dataset, problem.scenario
    x, y = torch.from_numpy(data.train_x[:, :-1]), torch.from_numpy(data.train_y)
    modules = [torch.nn.Linear(data.features - 1, data.classes) for _ in range(problem.nodes)]
    optimizers = [
        torch.optim.SGD(
            each.parameters(), lr=scenario.learning_rate, weight_decay=scenario.regularization
        )
        for each in modules
    ]
    shape = (max(1, round(scenario.steps * SHARE)), problem.nodes, scenario.batch_size)
    drawn = torch.from_numpy(np.random.default_rng(problem.seed).integers(len(y), size=shape))
    for batches in drawn:
        for module, optimizer, samples in zip(modules, optimizers, batches, strict=True):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(module(x[samples]), y[samples])
            torch.autograd.backward(loss)
            optimizer.step()
    return float(shape[0] * problem.nodes)
