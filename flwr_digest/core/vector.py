"""The vectors that streams carry: NumPy arrays that nobody changes in place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.floating]
"""Shape ``[d]``, float32 on the wire.

The core only adds, subtracts, scales and rounds vectors (see `rounding`), asks for their shape, and
always makes a new one: so a stream, the copy a node keeps of it and the account's history may share
memory without a copy, and whatever does these four is a vector (the simulator computes them later,
many at a time).
"""
