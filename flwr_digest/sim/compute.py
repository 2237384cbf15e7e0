"""How long local steps take: nodes of different speeds, steps of different lengths, stalls."""

from __future__ import annotations

import numpy as np

from flwr_digest.learning.arrays import Doubles
from flwr_digest.learning.seeds import Purpose, generator
from flwr_digest.sim.scenario import Scenario

_BLOCK_STEPS = 256
"""Steps that are drawn at once: 2 KB a node; one generator is made for each block."""

_LEAST_SHARE = 1e-9
"""Of the mean: an exponential draw may be 0, and time must go on."""


class Compute:
    """The duration of each local step; depends on the seed, the node and the step's number only.

    A node's mean step time is the scenario's, times a factor that is drawn once for each node:
    log-normal with median 1. Whether the node is away does not matter here.

    Parameters
    ----------
    scenario : Scenario
        Its `nodes`, `step_seconds`, `compute`, `speed_spread` and stalls.
    seed : int
        Decides all that is drawn.
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario = scenario
        self._seed = seed
        spread = generator(seed, Purpose.SPEED).standard_normal(scenario.nodes)
        self._means: Doubles = scenario.step_seconds * np.exp(scenario.speed_spread * spread)
        self._kept: dict[int, tuple[int, Doubles]] = {}
        # node -> the number of the block that was used last, and the block

    @property
    def mean_seconds(self) -> Doubles:
        """Each node's mean step time without stalls, ``[N]`` float64."""
        return self._means.copy()

    def durations(self, node: int, first: int, count: int) -> Doubles:
        """Return how long local steps `first` to `first + count - 1` of a node take.

        Parameters
        ----------
        node : int
            From 0.
        first : int
            The number of the first step, from 0.
        count : int
            How many steps, 1 or more.

        Returns
        -------
        numpy.ndarray
            Shape ``[count]``, float64, seconds above 0. May be a read-only view.
        """
        begin, offset = divmod(first, _BLOCK_STEPS)
        if offset + count <= _BLOCK_STEPS:
            return self._block(node, begin)[offset : offset + count]
        end = -(-(first + count) // _BLOCK_STEPS)
        blocks = [self._block(node, number) for number in range(begin, end)]
        return np.concatenate(blocks)[offset : offset + count]

    def _block(self, node: int, number: int) -> Doubles:
        """Return one block of a node's durations, kept until another is asked for."""
        kept = self._kept.get(node)
        if kept is None or kept[0] != number:
            kept = (number, self._draw(node, number))
            self._kept[node] = kept
        return kept[1]

    def _draw(self, node: int, number: int) -> Doubles:
        """Draw a block."""
        scenario = self._scenario
        draws = generator(self._seed, Purpose.DURATIONS, node, number)
        durations = np.ones(_BLOCK_STEPS)
        if scenario.compute == "exponential":
            durations = np.maximum(draws.standard_exponential(_BLOCK_STEPS), _LEAST_SHARE)
        durations *= self._means[node]
        if scenario.stall_probability:
            durations[draws.random(_BLOCK_STEPS) < scenario.stall_probability] += (
                scenario.stall_seconds
            )
        durations.setflags(write=False)
        return durations
