"""Random generators from explicit seeds: one for each purpose, independent of all others."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What random numbers are for. A number once given stays, or the same seed means another."""

    ERDOS_RENYI = 1
    RANDOM_REGULAR = 2
    REGIONS = 3
    STARTS = 4


def generator(seed: int, purpose: Purpose, attempt: int = 0) -> np.random.Generator:
    """Return a generator that depends on these three alone; `seed` may be of any size and sign."""
    return np.random.default_rng([purpose, attempt, int(seed < 0), abs(seed)])
