"""Counts the model bytes that pass through the ServerApp, and what the nodes report."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from flwr.app import MetricRecord, RecordDict

from flwr_digest.core.faults import Silence, faults_in, is_calm, summed_up
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
    "lost_deposits": "digest-lost-deposits",
    "unshared_steps": "digest-unshared-steps",
    "corrections_off": "digest-corrections-off",
    "links_lost": "digest-links-lost",
    "links_refused": "digest-links-refused",
    "failed_saves": "digest-failed-saves",
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
    silence : Silence
        The longest of any stream at any node.
    silent_at : str
        That node.
    """

    totals: dict[str, int]
    unreached: dict[str, dict[str, str]]
    endings: dict[str, str]
    silence: Silence = field(default_factory=Silence)
    silent_at: str = ""

    def warnings(self) -> list[str]:
        """Return a line for each thing that the user should know of."""
        off = self.totals.get("corrections_off", 0)
        if not off:
            return self._broken_links()
        line = f"drift correction kept growing at {off} nodes and is off there"
        return [f"{line}: a smaller learning rate may help", *self._broken_links()]

    @property
    def calm(self) -> bool:
        """Whether there were no faults, and nothing was given up."""
        return is_calm(self.totals)

    def summary(self) -> str:
        """Return the faults at all nodes in one line."""
        stream = "" if self.silence.stream is None else f", stream {self.silence.stream}"
        where = f"node {self.silent_at}{stream}" if self.silent_at else ""
        return summed_up(self.totals, self.silence, where)

    def with_earlier(self, other: RoundReport) -> RoundReport:
        """Return this round and earlier ones, added up."""
        names = [*self.totals, *(name for name in other.totals if name not in self.totals)]
        here = self.silence.seconds >= other.silence.seconds
        return RoundReport(
            totals={n: self.totals.get(n, 0) + other.totals.get(n, 0) for n in names},
            unreached=self.unreached,
            endings=self.endings,
            silence=self.silence.longer(other.silence),
            silent_at=self.silent_at if here else other.silent_at,
        )

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
                "digest-faults": sum(faults_in(self.totals).values()),
                "digest-longest-silence-seconds": self.silence.seconds,
                "digest-longest-silence-tours": self.silence.tours,
                "digest-server-training-bytes": server.training_bytes,
                "digest-server-handout-bytes": server.handout_bytes,
                "digest-server-on-request-bytes": server.on_request_bytes,
            }
        )


@dataclass(kw_only=True)
class RunReport:
    """What the nodes of all rounds so far have reported.

    Attributes
    ----------
    rounds : RoundReport or None
        The rounds added up; None before the first.
    """

    rounds: RoundReport | None = None

    def add(self, report: RoundReport) -> None:
        """Add a round."""
        self.rounds = report if self.rounds is None else report.with_earlier(self.rounds)


def add_up(
    contents: Iterable[tuple[int, RecordDict]], *, lost_replies: int = 0, forfeited_steps: int = 0
) -> RoundReport:
    """Return the report of a round from the train replies of its nodes.

    Parameters
    ----------
    contents : iterable of pairs of int and RecordDict
        The nodes that have replied, and what.
    lost_replies : int
        How many have not, or with an error.
    forfeited_steps : int
        Local steps that the broker has given up, before the round.
    """
    at_broker = {"lost_replies": lost_replies, "forfeited_steps": forfeited_steps}
    totals = {name: count for name, count in at_broker.items() if count}
    silence, silent_at = Silence(), ""
    unreached: dict[str, dict[str, str]] = {}
    endings: dict[str, str] = {}
    for node, content in contents:
        report = json.loads(str(content.config_records[RECORD][Key.REPORT]))
        for name, value in report["totals"].items():
            totals[name] = totals.get(name, 0) + value
        if report["unreached"]:
            unreached[str(node)] = report["unreached"]
        endings[str(node)] = report["ending"]
        longer = Silence(**report["silence"])
        if longer.seconds > silence.seconds:
            silent_at = str(node)
        silence = silence.longer(longer)
    return RoundReport(
        totals=totals,
        unreached=unreached,
        endings=endings,
        silence=silence,
        silent_at=silent_at,
    )
