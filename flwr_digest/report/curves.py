"""One line of a chart: the runs of one method on several seeds, put together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flwr_digest.learning.arrays import Doubles

if TYPE_CHECKING:
    from flwr_digest.sim.record import Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """The measurements of one method.

    Attributes
    ----------
    label : str
        What the legend calls it.
    runs : sequence of sequences of Row
        For each seed its measurements, in the order of time; at least one seed.
    """

    label: str
    runs: Sequence[Sequence[Row]]

    def median(self, field: str) -> Doubles:
        """Return a field of every measurement, float64 ``[rows]``: the median over the seeds.

        What is not finite is NaN: charts have no place for it. A run that has fewer measurements
        than others bounds how many rows there are.
        """
        rows = min(len(run) for run in self.runs)
        table = [[getattr(row, field) for row in run[:rows]] for run in self.runs]
        with np.errstate(invalid="ignore"):  # between plus and minus infinity
            middle = np.median(np.array(table, dtype=np.float64), axis=0)
        return np.where(np.isfinite(middle), middle, np.nan)

    @property
    def last_gap(self) -> float:
        """The mean gap at the end; infinite where the method has diverged, so it comes last."""
        gap = float(self.median("gap_mean")[-1])
        return gap if math.isfinite(gap) else math.inf
