"""Names for the arrays that the learning modules pass around."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
"""Models, samples and gradients: float32 in a run; float64 where a reference is computed."""

Doubles = npt.NDArray[np.float64]
"""Losses, weights and times: what is summed up over many samples or steps."""

Integers = npt.NDArray[np.int64]
"""Labels, nodes, and which samples are whose."""
