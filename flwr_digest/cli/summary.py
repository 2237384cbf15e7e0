"""What the seeds of a method come to: medians, so that one odd seed does not decide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Entry = Mapping[str, Any]
"""A result as it stands in the JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The results of one method on all its seeds; at least one."""

    label: str
    entries: Sequence[Entry]

    def of(self, field: str) -> float | None:
        """Return the median over the seeds of one figure; None where most seeds have none."""
        return _median([entry[field] for entry in self.entries])

    def to_gap(self, field: str, target: str) -> float | None:
        """Return the median of what it took to come to a gap; None where most never did."""
        return _median([entry[field][target] for entry in self.entries])

    @property
    def targets(self) -> list[str]:
        """The gaps that `to_gap` knows, the widest first."""
        return list(self.entries[0]["time_to"])


def _median(values: Sequence[float | None]) -> float | None:
    """Return the median, with None as more than any number: not reached, or beyond all bounds."""
    middle = median(math.inf if value is None else value for value in values)
    return middle if math.isfinite(middle) else None


def summaries(entries: Sequence[tuple[str, Entry]]) -> list[Summary]:
    """Put together what has the same label, in the order in which the labels come first."""
    grouped: dict[str, list[Entry]] = {}
    for label, entry in entries:
        grouped.setdefault(label, []).append(entry)
    return [Summary(label=label, entries=each) for label, each in grouped.items()]
