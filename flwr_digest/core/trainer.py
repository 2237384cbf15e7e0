"""What a driver of the core needs of whoever trains: quick calls that never wait for a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from flwr_digest.core.vector import Vector


class Taken(NamedTuple):
    """Local steps made since the last `take`, and how they moved the model, shape ``[d]``."""

    steps: int
    displacement: Vector


class Trainer(Protocol):
    """The node's model in training, seen from the driver's thread.

    Neither call may wait for a local step, nor change the model between a forward and a backward
    pass: the trainer takes a rebase in at its next step boundary.
    """

    def take(self) -> Taken | None:
        """Return the steps that were finished since the last call; None where there are none."""

    def rebase(self, model: Vector) -> None:
        """Go on from `model`, with what was done since the last `take` on top of it."""

    def wake_after(self, steps: int, wake: Callable[[], None]) -> None:
        """Call `wake` once, as soon as that many steps were made since the last `take`."""

    def fail(self, error: BaseException) -> None:
        """Raise `error` in the training thread at its next step: the overlay is dead."""
