"""Counts the model bytes that pass through the ServerApp, and what the nodes report."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from flwr.app import MetricRecord, RecordDict

from flwr_digest.core.plan import RECORD, Key

SENT = ("payload_bytes_sent", "control_bytes_sent")
COUNTED = {
    "hops_sent": "digest-hops",
    "visits": "digest-visits",
    "resends": "digest-resends",
    "reroutes": "digest-reroutes",
    "reissues": "digest-reissues",
    "replacements": "digest-replacements",
    "stale_drops": "digest-stale-drops",
    "forfeited_steps": "digest-forfeited-steps",
    "unshared_steps": "digest-unshared-steps",
    "corrections_off": "digest-corrections-off",
}
"""The nodes' counters, and the metrics that they become."""


def model_bytes(content: RecordDict) -> int:
    """Return the bytes of all arrays in a message or reply."""
    return sum(
        len(array.data) for record in content.array_records.values() for array in record.values()
    )


@dataclass(kw_only=True)
class ServerTraffic:
    """Model bytes through the ServerApp since the start of the run.

    Attributes
    ----------
    handout_bytes : int
        The initial model, to each node once.
    training_bytes : int
        In the messages and replies of training and evaluation. DIGEST's promise: zero.
    on_request_bytes : int
        The streams' model, for `evaluate_fn` and for `Result.arrays`.
    """

    handout_bytes: int = 0
    training_bytes: int = 0
    on_request_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class RoundReport:
    """What the nodes of one round have reported, added up over the nodes.

    Attributes
    ----------
    totals : dict of str to int
        Traffic and stream counters.
    unreached : dict of str to dict of str to str
        By node: neighbors that it never had a link to, and what it found there.
    endings : dict of str to str
        By node: why it left the session.
    """

    totals: dict[str, int]
    unreached: dict[str, dict[str, str]]
    endings: dict[str, str]

    def warnings(self) -> list[str]:
        """Return a line for each thing that the user should know of."""
        off = self.totals.get("corrections_off", 0)
        if not off:
            return self._broken_links()
        line = f"drift correction kept growing at {off} nodes and is off there: learn more slowly"
        return [line, *self._broken_links()]

    def _broken_links(self) -> list[str]:
        """Return a line for each node that neighbors never linked with, and what they found."""
        found: dict[str, list[str]] = {}
        for node, peers in self.unreached.items():
            for peer, why in peers.items():
                found.setdefault(peer, []).append(f"node {node}: {why}")
        return [
            f"node {peer} was never linked with its neighbors: {'; '.join(reasons)}"
            for peer, reasons in found.items()
        ]

    def to_metrics(self, server: ServerTraffic) -> MetricRecord:
        """Return the round in figures, as Flower metrics."""
        payload, control = (self.totals.get(name, 0) for name in SENT)
        metrics: dict[str, int | float | list[int] | list[float]] = {
            "digest-bytes-between-nodes": payload + control,
            "digest-payload-bytes": payload,
            "digest-control-bytes": control,
        }
        metrics |= {name: self.totals.get(counter, 0) for counter, name in COUNTED.items()}
        return MetricRecord(
            {
                **metrics,
                "digest-broken-links": sum(map(len, self.unreached.values())),
                "digest-server-training-bytes": server.training_bytes,
                "digest-server-handout-bytes": server.handout_bytes,
                "digest-server-on-request-bytes": server.on_request_bytes,
            }
        )


def add_up(contents: Iterable[tuple[int, RecordDict]]) -> RoundReport:
    """Return the report of a round from the train replies of its nodes."""
    totals: dict[str, int] = {}
    unreached: dict[str, dict[str, str]] = {}
    endings: dict[str, str] = {}
    for node, content in contents:
        report = json.loads(str(content.config_records[RECORD][Key.REPORT]))
        for name, value in report["totals"].items():
            totals[name] = totals.get(name, 0) + value
        if report["unreached"]:
            unreached[str(node)] = report["unreached"]
        endings[str(node)] = report["ending"]
    return RoundReport(totals=totals, unreached=unreached, endings=endings)
