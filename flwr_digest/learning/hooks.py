"""Listens in on an optimizer, so that the user's training loop stays as it is."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from flwr_digest.errors import ConfigError
from flwr_digest.learning.flat import moved
from flwr_digest.learning.handoff import Handoff

MEASURED = (
    torch.optim.SGD,
    torch.optim.Adam,
    torch.optim.AdamW,
    torch.optim.RMSprop,
    torch.optim.Adagrad,
)
"""Optimizers with which drift correction was measured; subclasses count as they do.

Digits sorted by label, 6 nodes in a ring, one stream, a visit every 5 local steps, 1,500 steps of
16 examples of which the last 100 did not wait for visits, one seed; mean and worst node's test
accuracy with drift correction, and the mean without:

============================  ============  =======  ============  =======
optimizer                     softmax       without  MLP           without
============================  ============  =======  ============  =======
SGD, momentum 0.9, lr 0.02    0.955, 0.949  0.888    0.965, 0.960  0.720
Adam, lr 0.002                0.929, 0.926  0.439    0.960, 0.953  0.391
AdamW, lr 0.002               0.930, 0.926  0.384    0.961, 0.956  0.426
RMSprop, lr 0.001             0.923, 0.919  0.342    0.956, 0.953  0.396
Adagrad, lr 0.02              0.916, 0.912  0.343    0.951, 0.943  0.478
============================  ============  =======  ============  =======

So on such data optimizers that rescale gradients *need* it: a node's own gradients else turn,
however small, into steps of full length. Five times the rate was tried once each: softmax with
Adam, RMSprop and Adagrad (0.944 to 0.951), and the MLP with AdamW (0.949).

MLP on 12 nodes, 4 shards, 1,000 steps, each round of 5 ending with a visit, two seeds; mean, worst
node: SGD 0.96, 0.94; momentum 0.96, 0.92; Adam at lr 0.004 0.97, 0.95; Adagrad at 0.04 0.96, 0.94;
RMSprop at 0.002 0.93, 0.89 in the worse seed: the most sensitive. Where there the last 100 steps
did not wait for visits (one seed), the worst node fell to 0.58 with SGD and to 0.42 with RMSprop,
and not with Adam (0.97): a correction that grows old harms, whichever the optimizer.
"""


class StepHooks:
    """Tells a hand-off when an optimizer step begins and ends.

    Parameters
    ----------
    model : nn.Module
        The model that is shared, laid out flat.
    optimizer : torch.optim.Optimizer
        The one that trains it, or a part of it.
    handoff : Handoff
        Told before and after each step. It knows whether gradients are corrected: `divide` it
        first.

    Raises
    ------
    ConfigError
        The optimizer does not train this model, or it is none of `MEASURED` though there is drift
        correction.

    Notes
    -----
    A local step is one call of ``optimizer.step()``, however many backward passes it sums up. A
    step that a `GradScaler` leaves out is none, and so is one that raises. Steps of any other
    optimizer are none either; what they change in the model is shared with the next local step.

    Drift correction sees each parameter's ``.grad`` as the optimizer does, and changes it. So

    - gradients that were accumulated, clipped, or unscaled by a `GradScaler` count as they are at
      `optimizer.step()`. The correction itself is not clipped. What then cancels between the nodes
      are the clipped gradients: where clipping acts at the end, too, that is another optimum;
    - rates are in units of the gradient, not of the displacement: learning rates may differ between
      parameter groups, nodes, and in time. Momentum and Nesterov's take up the corrected gradient,
      and thus amplify gradient and correction alike, in the end by 1 / (1 - momentum);
    - weight decay comes after it, in the optimizer. It is the same at all nodes that have the same,
      and needs no correction;
    - after the step ``.grad`` holds the corrected gradient: call `zero_grad()` before the next
      `backward()`, as usual;
    - where the nodes agree, the corrected gradient is zero on the average at each of them, so an
      optimizer that rescales it (Adam) rescales nothing: the optimum stays one. See `MEASURED`;
    - any ``fused=True`` under a `GradScaler` unscales in its own kernel, too late to be seen, and
      ``optimizer.step(closure)`` (L-BFGS) makes the gradients only then: both are refused at that
      step. So is a step of another optimizer with parameters of the model: nobody would correct it.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, handoff: Handoff
    ) -> None:
        self._optimizer, self._handoff = optimizer, handoff
        self._parameters = {id(p): (name, p, p.data_ptr()) for name, p in model.named_parameters()}
        if not self._shared(optimizer):
            raise ConfigError(
                "attach(model, optimizer): the optimizer holds none of the model's parameters; "
                "make it from model.parameters()"
            )
        if handoff.drift_correction:
            _check_kind(optimizer)
        self._handles = [
            optimizer.register_step_pre_hook(self._before),
            optimizer.register_step_post_hook(self._after),
        ]
        if handoff.drift_correction:
            self._handles.append(register_optimizer_step_pre_hook(self._refuse_others))

    def remove(self) -> None:
        """Leave the optimizer as it was."""
        for handle in self._handles:
            handle.remove()

    def _before(
        self, optimizer: torch.optim.Optimizer, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        shared = self._shared(optimizer)
        for name, parameter, home in shared:
            if parameter.data_ptr() != home:
                raise moved(name)
        if not self._handoff.drift_correction:
            self._handoff.before_step()
            return
        _check_gradients(optimizer, closure=kwargs.get("closure", args[1] if args[1:] else None))
        self._handoff.before_step([parameter for _, parameter, _ in shared])

    def _after(self, optimizer: torch.optim.Optimizer, args: object, kwargs: object) -> None:
        self._handoff.after_step()

    def _refuse_others(
        self, optimizer: torch.optim.Optimizer, args: object, kwargs: object
    ) -> None:
        """Refuse the step of an optimizer whose gradients nobody would correct."""
        if optimizer is not self._optimizer and self._shared(optimizer):
            raise ConfigError(
                "drift correction sees one optimizer, and another one steps parameters of the "
                "model: use one with several parameter groups, or drift_correction=False"
            )

    def _shared(self, optimizer: torch.optim.Optimizer) -> list[tuple[str, torch.Tensor, int]]:
        """Return name and place of all parameters of the model that an optimizer holds now."""
        found = (self._parameters.get(id(p)) for g in optimizer.param_groups for p in g["params"])
        return [each for each in found if each is not None]


def _check_kind(optimizer: torch.optim.Optimizer) -> None:
    """Check that drift correction was measured with an optimizer, see `MEASURED`."""
    if not isinstance(optimizer, MEASURED):
        names = ", ".join(kind.__name__ for kind in MEASURED)
        raise ConfigError(
            f"drift correction was measured with {names} of torch.optim, and this is "
            f"{type(optimizer).__name__}: use one of these, or drift_correction=False"
        )


def _check_gradients(optimizer: torch.optim.Optimizer, closure: object) -> None:
    """Check that what is in ``.grad`` before a step is what the step will take."""
    if closure is not None:
        raise ConfigError(
            "drift correction cannot see gradients that optimizer.step(closure) makes: call "
            "backward() first, then optimizer.step() without a closure"
        )
    if getattr(optimizer, "found_inf", None) is not None:  # how a GradScaler talks to fused ones
        raise ConfigError(
            "drift correction cannot see the gradients that "
            f"{type(optimizer).__name__}(fused=True) unscales for a GradScaler: make it with "
            "fused=False"
        )


def check_kinds(model: object, optimizer: object) -> None:
    """Check that these are what they are called, and not swapped or wrapped.

    Raises
    ------
    ConfigError
        Something else than a PyTorch model, or than an optimizer or None.
    """
    if not isinstance(model, nn.Module):
        raise ConfigError(
            f"attach(model, optimizer): the model is {type(model).__name__}: it must be a "
            "torch.nn.Module"
        )
    if not (optimizer is None or isinstance(optimizer, torch.optim.Optimizer)):
        raise ConfigError(
            f"attach(model, optimizer): the optimizer is {type(optimizer).__name__}: it must be a "
            "torch.optim.Optimizer, and not what another library wraps around one"
        )
