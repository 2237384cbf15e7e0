"""A session over a PyTorch module, trained in place by whatever loop. Needs torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flwr.app import ArrayRecord

from flwr_digest.clients.attached import AttachedTraining
from flwr_digest.clients.loop import DigestSession, Loop
from flwr_digest.clients.participation import Participation, Training
from flwr_digest.errors import ConfigError
from flwr_digest.learning.flat import layout_of

if TYPE_CHECKING:
    from torch import nn


class ModuleSession(DigestSession):
    """A session whose model is a PyTorch module. Made by `digest_session`, which see.

    Between two reports the module changes only by the user's hand; a report takes in what streams
    have brought. For a loop with a `torch.optim` optimizer, `attach` does the same in one line.
    """

    def __init__(
        self,
        loop: Loop,
        participation: Participation | None,
        arrays: ArrayRecord,
        module: nn.Module,
    ) -> None:
        super().__init__(loop, participation)
        self._module = module
        self._attached: AttachedTraining | None = None
        self._corrected = False
        if participation is not None:
            there = participation.before.layout
            if difference := layout_of(module).difference(there):
                raise ConfigError(f"this module differs from the initial model: {difference}")
        module.load_state_dict(arrays.to_torch_state_dict())

    def correct(self) -> None:
        """Correct the gradients of one local step, in place: the parameters' ``.grad``.

        Call it once for each local step, after `backward` and before the parameters change; after
        the step, set the gradients to zero or None as usual. Does nothing without drift correction,
        or outside a DIGEST run. The step must be plain SGD, or SGD with momentum.
        """
        self._check_report(1)
        if self._attached is not None and self.drift_correction:
            self._attached.trainer.before_step(self._module.parameters())
            self._corrected = True

    def stepped(self, *, steps: int = 1) -> None:
        """Say that so many local steps were made, and take in what streams have brought meanwhile.

        Raises
        ------
        ConfigError
            With drift correction: several steps in one report, or a step without its `correct`.
        DigestError
            The overlay has failed, or the training has diverged.
        """
        self._check_report(steps)
        if self._attached is not None:
            self._report(self._attached, steps)
        self._loop.made(steps)

    def _report(self, attached: AttachedTraining, steps: int) -> None:
        if self.drift_correction and (steps != 1 or not self._corrected):
            raise ConfigError(
                "drift correction acts at every local step: call correct() before each step, and "
                "stepped() after it"
            )
        for _ in range(steps):
            if not self._corrected:
                attached.trainer.before_step()
            self._corrected = False
            attached.trainer.after_step()

    def _training(self) -> Training:
        assert self._participation is not None
        self._attached = AttachedTraining(self._module, None, self._participation.before)
        return self._attached

    def _settled(self) -> None:
        assert self._attached is not None
        self._attached.settle()

    def _arrays(self) -> ArrayRecord:
        return ArrayRecord(self._module.state_dict())
