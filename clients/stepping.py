"""Hands steps of a session's own training loop to the overlay: arrays, of any framework or none.

Like the calls of a train handler, each report is a displacement, on top of whatever streams have
brought meanwhile; but it may be of one local step, and gradients can be corrected at each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flwr_digest.core.ids import ShardId
from flwr_digest.core.layout import Layout
from flwr_digest.core.trainer import Taken
from flwr_digest.core.vector import Vector
from flwr_digest.errors import LocalProtocolError
from flwr_digest.learning.calls import CallHandoff, Flat


class StepHandoff(CallHandoff):
    """The meeting point of one loop over arrays and one overlay: the `Trainer` of the latter.

    Parameters
    ----------
    layout : Layout
        Of the arrays that travel.
    model : array
        The node's model, float32, shape ``[d]``; copied.
    """

    def __init__(self, layout: Layout, model: Flat) -> None:
        super().__init__(layout, model)
        self._sum: Flat | None = None  # of the gradients that no `take` has fetched
        self._correction = np.zeros_like(model)

    # --- the training thread --------------------------------------------------------------------

    @property
    def drift_correction(self) -> bool:
        """Whether this session corrects gradients; known after `divide`."""
        return self._sum is not None

    @property
    def correction(self) -> Flat:
        """A copy of what to add to the gradient of the next step, shape ``[d]``."""
        with self._changed:
            return self._correction.copy()

    def commit_steps(self, displacement: Flat, steps: int, gradients: Flat | None) -> None:
        """Add so many local steps, and with drift correction the sum of their gradients.

        Raises
        ------
        DigestError
            The overlay has failed; whoever trains must not go on as if nothing were wrong.
        """
        with self._changed:  # no `take` may come between steps and gradients
            if self._sum is not None and gradients is not None:
                self._sum += gradients
            self._steps_per_call = steps
            self.commit(displacement)

    # --- the overlay's thread -------------------------------------------------------------------

    def divide(self, slices: Sequence[slice], *, drift_correction: bool) -> None:
        """Prepare for a session; see `CallHandoff`, but here gradients can be corrected."""
        super().divide(slices, drift_correction=False)
        self._sum = np.zeros_like(self._correction) if drift_correction else None

    def take(self, shard: ShardId) -> Taken | None:
        """Return the shard's steps finished since the last call, with their gradients."""
        with self._changed:
            taken = super().take(shard)
            if taken is None or self._sum is None:
                return taken
            place = self._shards[shard].place
            gradients = self._sum[place].copy()
            self._sum[place] = 0.0
            return taken._replace(gradients=gradients)

    def rebase(self, shard: ShardId, model: Vector, correction: Vector | None) -> None:
        """Go on from `model`, and correct the gradients of later steps by `correction`."""
        with self._changed:
            super().rebase(shard, model, None)
            if correction is None:
                return
            if self._sum is None:
                raise LocalProtocolError("a correction without the plan's")
            self._correction[self._shards[shard].place] = correction

    def uncorrect(self) -> None:
        """Correct no gradients, of all shards at once, from the next step on."""
        with self._changed:
            self._correction[:] = 0.0
