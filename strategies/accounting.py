"""Counts the model bytes that pass through the ServerApp, and what the nodes report."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from flwr.app import MetricRecord, RecordDict

from flwr_digest.core.plan import RECORD, Key


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
        The stream's model, for `evaluate_fn` and for `Result.arrays`.
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

    def broken_links(self) -> list[str]:
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
        total = self.totals.get
        payload, control = total("payload_bytes_sent", 0), total("control_bytes_sent", 0)
        return MetricRecord(
            {
                "digest-bytes-between-nodes": payload + control,
                "digest-payload-bytes": payload,
                "digest-control-bytes": control,
                "digest-hops": total("hops_sent", 0),
                "digest-visits": total("visits", 0),
                "digest-resends": total("resends", 0),
                "digest-reroutes": total("reroutes", 0),
                "digest-reissues": total("reissues", 0),
                "digest-forfeited-steps": total("forfeited_steps", 0),
                "digest-unshared-steps": total("unshared_steps", 0),
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
