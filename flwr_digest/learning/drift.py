"""Drift correction where it acts: on the gradients, just before the optimizer takes them.

A local step becomes x -= lr * (g + correction), with correction = the mean of all nodes' gradient
rates less this node's own (SCAFFOLD, Karimireddy et al., arXiv 1910.06378, option II). Because the
optimizer sees the corrected gradient, momentum is corrected, too. What is measured for the rates
is g as it was before.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from flwr_digest.errors import ConfigError
from flwr_digest.learning.flat import room_like


class DriftCorrection:
    """Adds up the gradients of a flat model, and corrects them in place.

    Two vectors of the model's size on the model's device are all the memory that it takes, and no
    step waits for the device.

    Parameters
    ----------
    vector : torch.Tensor
        The flat vector that the parameters are views of, shape ``[d]``, float32. What is in it but
        no parameter (BatchNorm's statistics, say) has no gradient: its sum stays 0.
    """

    def __init__(self, vector: torch.Tensor) -> None:
        self._vector = vector
        self._sum = torch.zeros_like(vector)
        self._correction = torch.zeros_like(vector)
        self._corrects = False
        self._views: dict[torch.Tensor, tuple[torch.Tensor, torch.Tensor]] = {}

    def before_step(self, parameters: Iterable[torch.Tensor]) -> None:
        """Note the gradients of an optimizer step, then correct them.

        Parameters without a gradient take no part in the step: they are passed over.

        Raises
        ------
        ConfigError
            A gradient is sparse, or a parameter was moved out of the flat vector.
        """
        rows = [(p.grad, *self._views_of(p)) for p in parameters if p.grad is not None]
        if not rows:
            return
        gradients, sums, corrections = (list(column) for column in zip(*rows, strict=True))
        if any(gradient.layout is not torch.strided for gradient in gradients):
            raise ConfigError(
                "drift correction needs dense gradients, and a layer makes sparse ones: "
                "make the layer with sparse=False, or use drift_correction=False"
            )
        with torch.no_grad():  # one call for all: on a GPU, few launches instead of two a parameter
            torch._foreach_add_(sums, gradients)
            if self._corrects:
                torch._foreach_add_(gradients, corrections)

    def take(self, place: slice) -> torch.Tensor:
        """Return the sum of a slice's gradients since the last call, and begin anew."""
        total = room_like(self._sum[place]).copy_(self._sum[place])
        self._sum[place].zero_()
        return total

    def renew(self, place: slice, correction: torch.Tensor) -> None:
        """Correct a slice's gradients by this, shape ``[d]`` of the slice, from the next step."""
        self._correction[place].copy_(correction)
        self._corrects = True

    def stop(self) -> None:
        """Correct nothing from the next step on, until a slice is renewed."""
        self._correction.zero_()
        self._corrects = False

    def _views_of(self, parameter: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a parameter's places in the sum and in the correction, shaped like itself."""
        if (found := self._views.get(parameter)) is not None:
            return found
        offset = (parameter.data_ptr() - self._vector.data_ptr()) // self._vector.element_size()
        end = offset + parameter.numel()
        same_device = parameter.device == self._vector.device
        if parameter.numel() and not (same_device and offset >= 0 and end <= len(self._vector)):
            raise ConfigError(
                "a parameter was moved after attach(): attach once the model is loaded and on its "
                "device"
            )
        place = slice(offset, end) if parameter.numel() else slice(0, 0)
        views = self._sum[place].view_as(parameter), self._correction[place].view_as(parameter)
        self._views[parameter] = views
        return views
