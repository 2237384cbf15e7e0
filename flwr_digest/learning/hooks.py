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
        Told before and after each step. It knows whether gradients are corrected: `divide` it
        first.

    Raises
    ------
    ConfigError
        The optimizer does not train this model, or it is not `torch.optim.SGD` though there is
        drift correction.

    Notes
    -----
    Drift correction sees each parameter's ``.grad`` as the optimizer does, and changes it. So

    - gradients that were accumulated, clipped, or unscaled by a `GradScaler` count as they are at
      `optimizer.step()`, and a step that the `GradScaler` leaves out counts as none;
    - after the step ``.grad`` holds the corrected gradient: call `zero_grad()` before the next
      `backward()`, as usual;
    - ``SGD(fused=True)`` under a `GradScaler` unscales in its own kernel, too late to be seen, and
      ``optimizer.step(closure)`` makes the gradients only then: both are refused at that step.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, handoff: Handoff
    ) -> None:
        self._shared = {id(parameter) for parameter in model.parameters()}
        if not any(id(p) in self._shared for p in _parameters_of(optimizer)):
            raise ConfigError(
                "attach(model, optimizer): the optimizer holds none of the model's parameters; "
                "make it from model.parameters()"
            )
        if handoff.drift_correction and not isinstance(optimizer, torch.optim.SGD):
            raise ConfigError(
                f"drift correction needs torch.optim.SGD, with or without momentum, and this is "
                f"{type(optimizer).__name__}: optimizers that rescale gradients would rescale the "
                "correction, too, so that it no longer cancels; use SGD, or drift_correction=False"
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

    def _before(
        self, optimizer: torch.optim.Optimizer, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        if not self._handoff.drift_correction:
            self._handoff.before_step()
            return
        _check_gradients(optimizer, closure=kwargs.get("closure", args[1] if args[1:] else None))
        shared = [p for p in _parameters_of(optimizer) if id(p) in self._shared]
        self._handoff.before_step(shared)

    def _after(self, optimizer: torch.optim.Optimizer, args: object, kwargs: object) -> None:
        self._handoff.after_step()


def _parameters_of(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _check_gradients(optimizer: torch.optim.Optimizer, closure: object) -> None:
    """Check that what is in ``.grad`` before a step is what the step will take."""
    if closure is not None:
        raise ConfigError(
            "drift correction cannot see gradients that optimizer.step(closure) makes: call "
            "backward() first, then optimizer.step() without a closure"
        )
    if getattr(optimizer, "found_inf", None) is not None:  # how a GradScaler talks to fused ones
        raise ConfigError(
            "drift correction cannot see the gradients that SGD(fused=True) unscales for a "
            "GradScaler: make it with fused=False"
        )
