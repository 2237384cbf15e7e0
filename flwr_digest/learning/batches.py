"""Each node's minibatches: shuffled passes over its own samples, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from flwr_digest.errors import ConfigError
from flwr_digest.learning.arrays import Integers
from flwr_digest.learning.checks import Range, check_number
from flwr_digest.learning.datasets import Dataset
from flwr_digest.learning.seeds import Purpose, generator

_MOST_AHEAD = 64
"""Minibatches planned ahead for each node. Measured: 16 take five times as long, 256 no less."""

_MOST_NUMBERS = 2**23
"""In the table of planned minibatches, so that it stays below 64 MB."""


class Batches:
    """Which samples come next at each node.

    A node goes through its samples in a new order on each pass. Every minibatch has the same
    width: one that begins at the end of a pass goes on in the next, and a node with fewer samples
    than a minibatch is wide has some of them in it twice. A node's k-th minibatch depends on the
    seed, the node and k only, never on the order in which the nodes ask.

    Parameters
    ----------
    dataset : Dataset
        Its training samples are used.
    parts : sequence of numpy.ndarray
        For each node the indices of its samples, at least one.
    batch_size : int
        The width b.
    seed : int
        Decides the order of the samples.

    Raises
    ------
    ConfigError
        A node without samples, or a batch size below 1.
    """

    def __init__(
        self, dataset: Dataset, parts: Sequence[Integers], batch_size: int, seed: int
    ) -> None:
        check_number("batch_size", batch_size, Range(whole=True, least=1))
        for node, part in enumerate(parts):
            if not len(part):
                raise ConfigError(f"node {node} has no samples: each node needs at least one")
        self._x, self._y = dataset.train_x, dataset.train_y
        self._parts = parts
        self._draws = [generator(seed, Purpose.BATCHES, node) for node in range(len(parts))]
        ahead = max(1, min(_MOST_AHEAD, _MOST_NUMBERS // (len(parts) * batch_size)))
        self._planned = np.zeros((len(parts), ahead, batch_size), dtype=np.intp)
        self._begun = [np.zeros(0, dtype=np.int64) for _ in parts]  # what is left of a drawn pass
        self._next = np.full(len(parts), ahead)
        self._calls_until_check = 0

    def next(self, nodes: Integers) -> tuple[npt.NDArray[np.float32], Integers]:
        """Return the next minibatch of each of these nodes, and advance them.

        Parameters
        ----------
        nodes : numpy.ndarray
            Shape ``[n]``, integers, all different.

        Returns
        -------
        x : numpy.ndarray
            A new array ``[n, b, f]``, float32.
        y : numpy.ndarray
            A new array ``[n, b]``, int64.
        """
        if self._calls_until_check == 0:
            self._plan()
        self._calls_until_check -= 1
        turns = self._next[nodes]
        samples = self._planned[nodes, turns]
        self._next[nodes] = turns + 1
        return self._x.take(samples, axis=0), self._y.take(samples)

    def _plan(self) -> None:
        """Plan anew for all nodes that have used up half; note how long no one runs dry."""
        ahead = self._planned.shape[1]
        for node in np.flatnonzero(self._next > ahead // 2):
            self._plan_node(int(node))
        self._calls_until_check = ahead - int(self._next.max())

    def _plan_node(self, node: int) -> None:
        """Move what is still planned to the front, and draw as many passes as fill the rest."""
        row, part = self._planned[node], self._parts[node]
        rest = np.concatenate([row[self._next[node] :].reshape(-1), self._begun[node]])
        passes = max(0, -(-(row.size - rest.size) // len(part)))
        drawn = np.empty((passes, len(part)), dtype=np.intp)
        drawn[:] = part  # `np.tile` takes half as long as the draw itself (measured)
        self._draws[node].permuted(drawn, axis=1, out=drawn)
        order = np.concatenate([rest, drawn.reshape(-1)])
        row[:] = order[: row.size].reshape(row.shape)
        self._begun[node] = order[row.size :]
        self._next[node] = 0
