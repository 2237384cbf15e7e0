"""A PyTorch model laid out as one flat float32 vector, in place."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from flwr_digest.core.layout import Entry, Layout
from flwr_digest.errors import ConfigError


def travelling_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return what travels: parameters and floating-point buffers, in `state_dict` order.

    Integer buffers (such as BatchNorm's count of batches) stay at the node.

    Raises
    ------
    ConfigError
        A parameter is not float32.
    """
    tensors = {
        name: tensor
        for name, tensor in model.state_dict(keep_vars=True).items()
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point()
    }
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32:
            raise ConfigError(
                f"{name} is {tensor.dtype}: DIGEST needs float32 parameters and buffers "
                "(mixed precision by autocast keeps them so)"
            )
    return tensors


def layout_of(model: nn.Module) -> Layout:
    """Return the layout of what travels of a model."""
    tensors = travelling_tensors(model)
    return Layout(tuple(Entry(name, tuple(tensor.shape)) for name, tensor in tensors.items()))


class FlatModel:
    """The model's travelling tensors as views into one vector, so that both change together.

    Parameters
    ----------
    model : nn.Module
        Its parameters and buffers must be on one device. They are re-laid in place; the optimizer
        keeps working on the same parameter objects.

    Attributes
    ----------
    layout : Layout
        Names and shapes, in order.
    vector : torch.Tensor
        Shape ``[d]``, float32, on the model's device.

    Raises
    ------
    ConfigError
        A tensor is not float32, or the tensors are on several devices.
    """

    def __init__(self, model: nn.Module) -> None:
        self.layout = layout_of(model)
        self._tensors = travelling_tensors(model)
        devices = {tensor.device for tensor in self._tensors.values()}
        if len(devices) != 1:
            raise ConfigError(f"the model is on {sorted(map(str, devices))}: put it on one device")
        self.vector = torch.empty(self.layout.size, dtype=torch.float32, device=devices.pop())
        with torch.no_grad():
            for tensor, view in self._pairs():
                view.copy_(tensor)
                tensor.data = view

    def check(self) -> None:
        """Check that the model still lives in the vector.

        Raises
        ------
        ConfigError
            Someone has given a tensor new storage, such as `load_state_dict(assign=True)` or
            `.to(...)` does: from then on the streams would learn nothing from it.
        """
        for (entry, _), (tensor, view) in zip(self.layout.parts(), self._pairs(), strict=True):
            if tensor.data_ptr() != view.data_ptr():
                raise ConfigError(
                    f"{entry.name} was moved after attach(): attach once the model is loaded and "
                    "on its device, and load with plain load_state_dict()"
                )

    def repair(self) -> None:
        """Put right what adding displacements can break: a running variance below zero."""
        for (entry, _), (_, view) in zip(self.layout.parts(), self._pairs(), strict=True):
            if entry.name.endswith("running_var"):
                view.clamp_(min=0.0)

    def _pairs(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for (entry, place), tensor in zip(self.layout.parts(), self._tensors.values(), strict=True):
            yield tensor, self.vector[place].view(entry.shape)
