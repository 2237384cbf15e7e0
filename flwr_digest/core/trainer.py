"""What a driver of the core needs of whoever trains: quick calls that never wait for a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from flwr_digest.core.ids import ShardId
from flwr_digest.core.vector import Vector


class Taken(NamedTuple):
    """Local steps made since the last `take` of a shard.

    `displacement` is by how much they moved it, shape ``[d]`` of the shard; `gradients` the sum of
    their gradients before any correction, with drift correction, else None.
    """

    steps: int
    displacement: Vector
    gradients: Vector | None = None


class Trainer(Protocol):
    """The node's model in training, seen from the driver's thread.

    No call may wait for a local step, nor change the model between a forward and a backward
    pass: the trainer takes a rebase in at its next step boundary.
    """

    def divide(self, slices: Sequence[slice], *, drift_correction: bool) -> None:
        """Prepare for a session: `slices` are the shards of the flat vector, in order of id."""

    def take(self, shard: ShardId) -> Taken | None:
        """Return the steps that were finished since the last call; None where there are none."""

    def rebase(self, shard: ShardId, model: Vector, correction: Vector | None) -> None:
        """Go on from `model`, with what was done since the last `take` of the shard on top of it.

        `correction` is added to the gradient of each step from then on; None leaves it as it is.
        """

    def uncorrect(self) -> None:
        """Train without corrections, in all shards at once, until `rebase` brings new ones."""

    def wake_after(self, shard: ShardId, steps: int, wake: Callable[[], None]) -> None:
        """Call `wake` once, as soon as that many steps were made since the shard's last `take`."""

    def fail(self, error: BaseException) -> None:
        """Raise `error` in the training thread at its next step: the overlay is dead."""
