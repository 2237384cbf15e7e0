"""The one line in a PyTorch train handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flwr_digest.clients.active import current

if TYPE_CHECKING:
    import torch
    from torch import nn


def attach(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Share a model in training with the streams of the DIGEST run; else do nothing.

    Call it once in the train handler, as the last thing before training: after the data and the
    arrays are loaded and the optimizer is made. It waits until the neighbors have come as far. From
    then on each ``optimizer.step()`` is one local step; between two steps the model takes in what a
    stream has brought. The loop itself, the optimizer and its state stay the user's.

    Parameters
    ----------
    model : torch.nn.Module
        On its device, with float32 parameters, and loaded. Its parameters become views of one
        flat vector, in place.
    optimizer : torch.optim.Optimizer
        Made from the model's parameters.

    Raises
    ------
    flwr_digest.errors.ConfigError
        A second call, another model than the initial one, or one that is not loaded.
    """
    participation = current.get()
    if participation is not None:
        participation.attach(model, optimizer)
