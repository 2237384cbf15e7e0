"""What happened in a run besides learning: for tests and for whoever looks for the cause."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields

from flwr_digest.core.effects import NoticeKind
from flwr_digest.core.node import Node
from flwr_digest.core.state import Counters

LONGEST = ("longest_silence_seconds", "longest_silence_tours")


@dataclass(kw_only=True, slots=True)
class Report:
    """Counts of a run.

    Attributes
    ----------
    notices : Counter of NoticeKind
        What went wrong and was dealt with.
    counters : Counter of str
        Sums over all nodes and streams, by the names of the fields of `Counters` that count.
    longest_silence_seconds : float
        The longest time that a stream was away from a member of its.
    longest_silence_tours : float
        The most of its tours that it was.
    guards_tripped : int
        Nodes that have switched their drift correction off.
    """

    notices: Counter[NoticeKind] = field(default_factory=Counter)
    counters: Counter[str] = field(default_factory=Counter)
    longest_silence_seconds: float = 0.0
    longest_silence_tours: float = 0.0
    guards_tripped: int = 0

    def add_counters(self, node: Node) -> None:
        """Add what a node has counted."""
        for station in node.stations.values():
            counters = station.counters
            for each in fields(Counters):
                if each.name not in LONGEST:
                    self.counters[each.name] += getattr(counters, each.name)
            for name in LONGEST:
                setattr(self, name, max(getattr(self, name), getattr(counters, name)))
