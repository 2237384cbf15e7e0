"""A PyTorch model laid out as one flat float32 vector, in place."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from flwr_digest.core.layout import Entry, Layout
from flwr_digest.errors import ConfigError


def room_like(tensor: torch.Tensor) -> torch.Tensor:
    """Return room for a tensor of the same shape, float32, on the same device; not yet filled.

    On a CPU it is NumPy's memory, for which that asks Linux for huge pages: what is as large as
    45 MB is then filled for the first time in 8 ms, and in 24 ms in PyTorch's own (measured).
    """
    if tensor.device.type == "cpu":
        return torch.from_numpy(np.empty(tensor.shape, dtype=np.float32))
    return torch.empty_like(tensor)


class Echo(NamedTuple):
    """Two places of one tensor in the flat vector: a further name of it, and where it lives."""

    echo: slice
    home: slice


def travelling_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return what travels: parameters and floating-point buffers, in `state_dict` order.

    Integer buffers (such as BatchNorm's count of batches) stay at the node.

    Raises
    ------
    ConfigError
        A parameter is not float32, or has no shape yet.
    """
    tensors = {
        name: tensor
        for name, tensor in model.state_dict(keep_vars=True).items()
        if isinstance(tensor, torch.Tensor) and (tensor.is_floating_point() or tensor.is_complex())
    }
    for name, tensor in tensors.items():
        if is_lazy(tensor):
            raise ConfigError(
                f"{name} has no shape yet: call the lazy layer once on some data, then attach"
            )
        if tensor.dtype != torch.float32:
            raise ConfigError(
                f"{name} is {tensor.dtype}: DIGEST needs float32 parameters and buffers "
                "(mixed precision by autocast keeps them so)"
            )
    return tensors


def fitting(model: nn.Module, layout: Layout) -> nn.Module:
    """Return the module whose `state_dict` has this layout: the model, or what it wraps.

    `torch.compile` and `nn.DataParallel` put a prefix before all names, which the initial model
    has only if it was wrapped, too. Where none fits it is the innermost.

    Raises
    ------
    ConfigError
        The model is a `DistributedDataParallel`.
    """
    if isinstance(model, nn.parallel.DistributedDataParallel):
        raise ConfigError(
            "the model is a DistributedDataParallel, and only one of its processes would hear of "
            "the streams: attach the plain module, in one process, or an nn.DataParallel"
        )
    inner = model.module if isinstance(model, nn.DataParallel) else _compiled_from(model)
    if inner is None or not layout_of(model).difference(layout):
        return model
    return fitting(inner, layout)


def _compiled_from(model: nn.Module) -> nn.Module | None:
    inner = getattr(model, "_orig_mod", None)  # the class itself takes seconds to import
    return inner if isinstance(inner, nn.Module) else None


def layout_of(model: nn.Module) -> Layout:
    """Return the layout of what travels of a model."""
    tensors = travelling_tensors(model)
    return Layout(tuple(Entry(name, tuple(tensor.shape)) for name, tensor in tensors.items()))


def moved(name: str) -> ConfigError:
    """Return the refusal of a tensor that no longer lives in the vector."""
    return ConfigError(
        f"{name} was moved after attach(): attach once the model is loaded and on its device, and "
        "load with plain load_state_dict()"
    )


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
    echoes : tuple of Echo
        The further places of tensors that have several names.

    Raises
    ------
    ConfigError
        A tensor is not float32, or the tensors are on several devices.
    """

    def __init__(self, model: nn.Module) -> None:
        self.layout = layout_of(model)
        self._model = model
        tensors = travelling_tensors(model)
        devices = {tensor.device for tensor in tensors.values()}
        if len(devices) != 1:
            raise ConfigError(f"the model is on {sorted(map(str, devices))}: put it on one device")
        self.vector = torch.empty(self.layout.size, dtype=torch.float32, device=devices.pop())
        views = {
            entry.name: self.vector[place].view(entry.shape) for entry, place in self.layout.parts()
        }
        # A tensor with several names (tied weights) has a place for each, as in `state_dict`, and
        # lives in the first; the others echo it.
        places = {entry.name: place for entry, place in self.layout.parts()}
        first_names: dict[int, str] = {}
        homes = {name: first_names.setdefault(id(tensor), name) for name, tensor in tensors.items()}
        self._homes = {name: views[home] for name, home in homes.items()}
        self.echoes = tuple(
            Echo(echo=places[name], home=places[home])
            for name, home in homes.items()
            if name != home
        )
        self._variances = [view for name, view in views.items() if name.endswith("running_var")]
        with torch.no_grad():
            for name, tensor in tensors.items():
                views[name].copy_(tensor)
                tensor.data = self._homes[name]

    def check(self) -> None:
        """Check that the model still lives in the vector.

        Raises
        ------
        ConfigError
            Someone has given a tensor new storage, such as `load_state_dict(assign=True)` or
            `.to(...)` does: from then on the streams would learn nothing from it. Or there is one
            that was not there before.
        """
        tensors = self._model.state_dict(keep_vars=True)
        for name, home in self._homes.items():
            tensor = tensors.get(name)
            if tensor is None or tensor.data_ptr() != home.data_ptr():
                raise moved(name)
        for name in travelling_tensors(self._model).keys() - self._homes.keys():
            raise ConfigError(
                f"{name} was added after attach(): all nodes share one layout, so build the whole "
                "model first"
            )

    def repair(self) -> None:
        """Put right what a step or a sum of displacements can break.

        A running variance is not below zero, and a tensor has one value under all its names.
        """
        for variance in self._variances:
            variance.clamp_(min=0.0)
        for echo, home in self.echoes:
            self.vector[echo] = self.vector[home]
