"""Training that is watched step by step: a PyTorch model and its optimizer. Needs torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from flwr_digest.clients.record import NodeRecord
from flwr_digest.errors import ConfigError
from flwr_digest.learning.flat import FlatModel, fitting
from flwr_digest.learning.handoff import Handoff
from flwr_digest.learning.hooks import StepHooks, check_kinds

if TYPE_CHECKING:
    import torch
    from torch import nn


class AttachedTraining:
    """The user's own training loop, of which every optimizer step is a local step.

    Parameters
    ----------
    model : torch.nn.Module
        Loaded with the record's arrays.
    optimizer : torch.optim.Optimizer or None
        Made from its parameters; each of its steps is a local step. None: whoever trains tells the
        `trainer` of each step.
    record : NodeRecord
        What the node remembers of the run.

    Raises
    ------
    ConfigError
        Another model than the broker's, or one that is not loaded; or something else than a model
        and an optimizer of PyTorch.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer | None, record: NodeRecord
    ) -> None:
        self.trainer = Handoff()
        self._optimizer, self._record = optimizer, record
        self._hooks: StepHooks | None = None
        check_kinds(model, optimizer)
        self._model = model = fitting(model, record.layout)
        self._flat = FlatModel(model)
        if difference := self._flat.layout.difference(record.layout):
            raise ConfigError(
                f"this node's model differs from the initial model: {difference}; "
                f"here: {self._flat.layout}; there: {record.layout}"
            )
        if not np.array_equal(self._flat.vector.cpu().numpy(), record.model):
            raise ConfigError(
                "attach() found other values in the model than the message brought: "
                "load the arrays into the model first, then attach, then train"
            )

    def begin(self) -> None:
        """Listen in on the optimizer from now on; the session has been entered."""
        if self._optimizer is not None:
            self._hooks = StepHooks(self._model, self._optimizer, self.trainer)
        self.trainer.bind(self._flat.vector, self._flat.repair, self._flat.echoes)

    def check(self) -> None:
        """Check that the model is still the one that was attached; `ConfigError` if not."""
        self._flat.check()

    def end(self) -> None:
        """Leave the optimizer as it was, also in the midst of a step."""
        self.trainer.leave_step()
        if self._hooks is not None:
            self._hooks.remove()

    def settle(self) -> None:
        """Take in what the session has left behind."""
        self.trainer.settle()

    @property
    def model(self) -> npt.NDArray[np.float32]:
        """A copy of the node's model, shape ``[d]``."""
        values: npt.NDArray[np.float32] = self._flat.vector.cpu().numpy().copy()
        return values

    @property
    def rest(self) -> dict[str, npt.NDArray[np.generic]]:
        """The arrays that do not travel: as the user gave them."""
        return dict(self._record.rest)
