"""Listens in on an optimizer, so that the user's training loop stays as it is."""

from __future__ import annotations

import torch
from torch import nn

from flwr_digest.errors import ConfigError
from flwr_digest.learning.handoff import Handoff


class StepHooks:
    """Tells a hand-off when an optimizer step begins and ends.

    Parameters
    ----------
    model : nn.Module
        The model that is shared.
    optimizer : torch.optim.Optimizer
        The one that trains it.
    handoff : Handoff
        Told before and after each step.

    Raises
    ------
    ConfigError
        The optimizer does not train this model.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, handoff: Handoff
    ) -> None:
        trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if not trained & {id(parameter) for parameter in model.parameters()}:
            raise ConfigError(
                "attach(model, optimizer): the optimizer holds none of the model's parameters; "
                "make it from model.parameters()"
            )
        self._handoff = handoff
        self._handles = [
            optimizer.register_step_pre_hook(self._before),
            optimizer.register_step_post_hook(self._after),
        ]

    def remove(self) -> None:
        """Leave the optimizer as it was."""
        for handle in self._handles:
            handle.remove()

    def _before(self, optimizer: torch.optim.Optimizer, args: object, kwargs: object) -> None:
        self._handoff.before_step()

    def _after(self, optimizer: torch.optim.Optimizer, args: object, kwargs: object) -> None:
        self._handoff.after_step()
