"""What happened in a run besides learning: for tests and for whoever looks for the cause."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields

from flwr_digest.core.effects import NoticeKind
from flwr_digest.core.node import Node
from flwr_digest.core.state import Counters


@dataclass(kw_only=True, slots=True)
class Report:
    """Counts of a run.

    Attributes
    ----------
    notices : Counter of NoticeKind
        What went wrong and was dealt with.
    counters : Counter of str
        Sums over all nodes and streams, by the names of the fields of `Counters`.
    guards_tripped : int
        Nodes that have switched their drift correction off.
    """

    notices: Counter[NoticeKind] = field(default_factory=Counter)
    counters: Counter[str] = field(default_factory=Counter)
    guards_tripped: int = 0

    def add_counters(self, node: Node) -> None:
        """Add what a node has counted."""
        for station in node.stations.values():
            for each in fields(Counters):
                self.counters[each.name] += getattr(station.counters, each.name)
