"""One seed, many independent draws: each purpose has a generator of its own.

So a change in how often one part draws cannot shift what another part gets.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from flwr_digest.errors import ConfigError

_LARGEST_WORD = 2**32 - 1


class Purpose(IntEnum):
    """What is drawn; part of the generator's seed. The numbers only need to differ."""

    SPLIT = 1
    PARTITION = 2
    INITIAL = 3
    BATCHES = 4
    SPEED = 5
    DURATIONS = 6
    LOSSES = 7
    METHOD = 8


def generator(seed: int, purpose: Purpose, *key: int) -> np.random.Generator:
    """Return a fresh generator that depends on its arguments alone.

    Parameters
    ----------
    seed : int
        The run's seed, 0 or more.
    purpose : Purpose
        What is drawn.
    *key : int
        For which node, link, block and so on; each 0 or more.

    Raises
    ------
    ConfigError
        The seed is negative.
    """
    if seed < 0:
        raise ConfigError(f"seed is {seed}: it must be a whole number of 0 or more")
    words = (seed, int(purpose), *key)
    if max(words) > _LARGEST_WORD:
        return np.random.default_rng(words)
    # The same stream; NumPy takes a quarter longer to read the numbers one by one (measured), and
    # a run of many nodes makes two generators for each.
    return np.random.default_rng(np.array(words, dtype=np.uint32))
