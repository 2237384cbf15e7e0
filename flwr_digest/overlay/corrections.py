"""Lets drift corrections in to the trainer for as long as they do not grow."""

from __future__ import annotations

import numpy as np

from flwr_digest.core.guard import Guard
from flwr_digest.core.ids import NodeId, ShardId
from flwr_digest.core.trainer import Trainer
from flwr_digest.core.vector import Vector
from flwr_digest.overlay.link import LOGGER


class Corrections:
    """The corrections of one node, and the guard that watches them.

    Attributes
    ----------
    guard : Guard
        Tripped: no correction is let in any more.
    """

    def __init__(self, node_id: NodeId, trainer: Trainer) -> None:
        self.guard = Guard()
        self._node_id = node_id
        self._trainer = trainer
        self._last: dict[ShardId, Vector] = {}

    def let_in(self, shard: ShardId, correction: Vector | None) -> Vector | None:
        """Return the correction that the trainer takes in: none once the guard is against it."""
        if correction is None or self.guard.tripped:
            return None
        before = self._last.get(shard, np.zeros_like(correction))
        size, change = (float(np.linalg.norm(v)) for v in (correction, correction - before))
        self.guard = self.guard.observed(shard, size, change)
        if not self.guard.tripped:
            self._last[shard] = correction
            return correction
        self._last.clear()
        self._trainer.uncorrect()
        LOGGER.warning(
            "node %d: drift correction is off for the rest of the session, as its swings grew (by "
            "now to %.3g): a smaller learning rate may help (and fewer regions, if several)",
            self._node_id, change,
        )  # fmt: skip
        return None
