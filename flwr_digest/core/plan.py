"""What broker and nodes tell each other through Flower: hello, plan and report, as plain JSON.

One Flower round is one bounded session:

    broker ── invitation (the first time with the initial model) ──> node
    broker <─ hello (where to reach me, my certificate, what I hold) ── node
    broker ── plan (who is in, your neighbors, where streams start) ──> node
              the nodes train and forward streams among themselves
    broker <─ report (counters and metrics; the hello for the next round) ── node
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from flwr_digest.core.config import NodeConfig, StreamPlan
from flwr_digest.core.epoch import Contents, Told
from flwr_digest.core.ids import Fence, NodeId, Order, ShardId, StreamId
from flwr_digest.core.walk import Walk
from flwr_digest.errors import ConfigError

PROTOCOL_VERSION = 5
"""Both ends of a link, and broker and node, must speak the same."""

RECORD = "digest"
"""Name of the ConfigRecord that marks a Flower message as part of a DIGEST run."""


class Phase(StrEnum):
    """What the broker asks of a node; the record's ``phase``."""

    HELLO = "hello"  # introduce yourself; the initial model comes along
    TRAIN = "train"  # here is your plan: take part in a session
    EVALUATE = "evaluate"  # evaluate your own freshest model
    COLLECT = "collect"  # send the stream's model: the user has asked for it


class Key(StrEnum):
    """The other fields of that record."""

    PHASE = "phase"
    ARRAYS = "arrays-key"  # under which name the handler expects the model
    INSECURE = "insecure"
    COUNT = "count-examples"  # whether the hello is to say how many training examples there are
    PLAN = "plan"
    HELLO = "hello"
    REPORT = "report"


@dataclass(frozen=True, kw_only=True)
class Hello:
    """What a node tells the broker before it takes part.

    Attributes
    ----------
    address : str
        Where its neighbors can dial it: ``host:port`` or ``unix:/path``.
    certificate : str
        Its certificate of this session, PEM; empty where links are not encrypted.
    kept : mapping of StreamId to Order
        The copy of each stream that it keeps from earlier sessions.
    generation : int
        The highest fence generation it has seen.
    life : int
        The life of its accounts; 0 where they are about to be opened anew.
    slots : int
        How many nodes the engine that this one runs in can run at once; 0: no such limit.
    examples : int or None
        How many training examples it has; None where it was not asked, or cannot tell.
    epoch : int
        The epoch of its last session; see `Plan`.
    contents : tuple of Contents
        For each shard, what the fullest copy here contains of each node; empty where there is no
        copy but the initial model.
    """

    address: str
    certificate: str
    kept: Mapping[StreamId, Order]
    generation: int
    life: int = 0
    slots: int = 0
    examples: int | None = None
    epoch: int = 0
    contents: tuple[Contents, ...] = ()

    def to_json(self) -> str:
        """Return the hello as JSON text."""
        kept = {str(s): [*order.fence, order.hop] for s, order in self.kept.items()}
        return json.dumps(
            {
                "version": PROTOCOL_VERSION,
                "address": self.address,
                "certificate": self.certificate,
                "kept": kept,
                "generation": self.generation,
                "life": self.life,
                "slots": self.slots,
                "examples": self.examples,
                "epoch": self.epoch,
                "contents": _contents_to_json(self.contents),
            }
        )

    @staticmethod
    def from_json(text: str) -> Hello:
        """Return the hello that `to_json` wrote; `ConfigError` for any other text."""
        fields = _fields(text, "hello")
        try:
            kept = {
                StreamId(int(s)): Order(Fence(generation, NodeId(node)), hop)
                for s, (generation, node, hop) in fields["kept"].items()
            }
            return Hello(
                address=str(fields["address"]),
                certificate=str(fields["certificate"]),
                kept=kept,
                generation=int(fields["generation"]),
                life=int(fields["life"]),
                slots=int(fields["slots"]),
                examples=_whole_or_none(fields["examples"]),
                epoch=int(fields["epoch"]),
                contents=_contents_from(fields["contents"]),
            )
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"not a hello of this version: {error!r}") from error


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A neighbor as the plan names it."""

    address: str
    certificate: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One node's part in one session.

    Attributes
    ----------
    session : str
        Names the session; links between different sessions are refused.
    topology : mapping of NodeId to frozenset of NodeId
        All members and their neighbors.
    peers : mapping of NodeId to Peer
        How to reach this node's neighbors, and how to know them.
    streams : mapping of StreamId to StreamPlan
        All streams: what they carry, where they start and whom they visit.
    weight : float
        This node's share of the global model's steps.
    local_steps : int
        The pace: see `NodeConfig`.
    drift_correction : bool
        Whether streams carry gradient rates, too.
    walk : Walk
        How streams choose their way.
    life : int
        The life of this node's accounts that the plan was made for.
    epoch : int
        How often the streams of this run were cut anew. Within an epoch they go on; a node whose
        last session was of an earlier one carries over what no stream has taken up yet.
    calls : int
        How many times to call a train handler that does not attach its model.
    steps_per_call : int
        As how many local steps such a call counts.
    steps : int or None
        How many local steps a client that asks makes in this session; None: as many as it likes.
    seed : int
        Decides ties of the tours.
    generation : int
        The highest fence generation that any member has reported.
    session_seconds : float
        A node leaves at the latest after this time, whatever it still waits for.
    insecure : bool
        Whether links are plaintext, because the user said so.
    """

    session: str
    topology: Mapping[NodeId, frozenset[NodeId]]
    peers: Mapping[NodeId, Peer]
    streams: Mapping[StreamId, StreamPlan]
    weight: float
    local_steps: int
    seed: int
    generation: int
    session_seconds: float
    insecure: bool
    drift_correction: bool = False
    walk: Walk = Walk.TOUR
    life: int = 0
    epoch: int = 0
    calls: int = 1
    steps_per_call: int = 1
    steps: int | None = None

    def __post_init__(self) -> None:
        for name in ("calls", "steps_per_call", "steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} of the plan is {value}: it must be 1 or more")

    @property
    def shards(self) -> int:
        """Into how many slices the model is cut."""
        return 1 + max(stream.shard for stream in self.streams.values())

    def node_config(self, node: NodeId) -> NodeConfig:
        """Return what the core of `node` needs to know."""
        return NodeConfig(
            node_id=node,
            topology=self.topology,
            streams=self.streams,
            weight=self.weight,
            local_steps=self.local_steps,
            drift_correction=self.drift_correction,
            walk=self.walk,
            life=self.life,
            seed=self.seed,
            generation=self.generation,
        )

    def to_json(self) -> str:
        """Return the plan as JSON text."""
        regions = sorted({tuple(sorted(stream.members)) for stream in self.streams.values()})
        return json.dumps(
            {
                "version": PROTOCOL_VERSION,
                "session": self.session,
                "topology": {str(n): sorted(near) for n, near in self.topology.items()},
                "peers": {str(n): [p.address, p.certificate] for n, p in self.peers.items()},
                "regions": regions,
                "streams": {
                    str(s): [
                        stream.shard,
                        stream.start,
                        regions.index(tuple(sorted(stream.members))),
                    ]
                    for s, stream in self.streams.items()
                },
                "weight": self.weight,
                "local_steps": self.local_steps,
                "drift_correction": self.drift_correction,
                "walk": self.walk,
                "life": self.life,
                "epoch": self.epoch,
                "calls": self.calls,
                "steps_per_call": self.steps_per_call,
                "steps": self.steps,
                "seed": self.seed,
                "generation": self.generation,
                "session_seconds": self.session_seconds,
                "insecure": self.insecure,
            }
        )

    @staticmethod
    def from_json(text: str) -> Plan:
        """Return the plan that `to_json` wrote; `ConfigError` for any other text."""
        fields = _fields(text, "plan")
        try:
            topology = {
                NodeId(int(n)): _nodes(near, "neighbors") for n, near in fields["topology"].items()
            }
            peers = {
                NodeId(int(n)): Peer(address=address, certificate=certificate)
                for n, (address, certificate) in fields["peers"].items()
            }
            return Plan(
                session=str(fields["session"]),
                topology=topology,
                peers=peers,
                streams=_streams(fields["streams"], fields["regions"]),
                weight=float(fields["weight"]),
                local_steps=int(fields["local_steps"]),
                drift_correction=bool(fields["drift_correction"]),
                walk=Walk(fields["walk"]),
                life=int(fields["life"]),
                epoch=int(fields["epoch"]),
                calls=int(fields["calls"]),
                steps_per_call=int(fields["steps_per_call"]),
                steps=_whole_or_none(fields["steps"]),
                seed=int(fields["seed"]),
                generation=int(fields["generation"]),
                session_seconds=_seconds(fields["session_seconds"]),
                insecure=bool(fields["insecure"]),
            )
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"not a plan of this version: {error!r}") from error


def _seconds(value: str | float) -> float:
    seconds = float(value)
    if not (math.isfinite(seconds) and seconds > 0):
        raise ConfigError(
            f"session_seconds of the plan is {seconds}: it must be a number of seconds above 0"
        )
    return seconds


def _whole_or_none(value: str | int | None) -> int | None:
    return None if value is None else int(value)


def _nodes(row: object, what: str) -> frozenset[NodeId]:
    """Return a row of node ids; text and JSON objects can be iterated over, too, and are none."""
    if not isinstance(row, list):
        raise TypeError(f"{what} must be a list, not {row!r}")
    return frozenset(map(NodeId, row))


def _streams(rows: dict[str, Any], regions: object) -> dict[StreamId, StreamPlan]:
    if not isinstance(regions, list):
        raise TypeError(f"regions must be a list, not {regions!r}")
    members = {n: _nodes(region, "each of regions") for n, region in enumerate(regions)}
    return {
        StreamId(int(s)): StreamPlan(
            shard=ShardId(int(shard)), start=NodeId(int(start)), members=members[region]
        )
        for s, (shard, start, region) in rows.items()
    }


def _contents_to_json(contents: tuple[Contents, ...]) -> dict[str, Any]:
    """Return contents with each table once: after a session that closed all shards have one."""
    tables: list[Contents] = []
    for table in contents:
        if table not in tables:
            tables.append(table)
    rows = [{str(node): list(told) for node, told in table.items()} for table in tables]
    return {"tables": rows, "shards": [tables.index(table) for table in contents]}


def _contents_from(fields: dict[str, Any]) -> tuple[Contents, ...]:
    tables = [
        {NodeId(int(node)): Told(int(life), int(steps)) for node, (life, steps) in row.items()}
        for row in fields["tables"]
    ]
    return tuple(tables[index] for index in fields["shards"])


def _fields(text: str, what: str) -> dict[str, Any]:
    """Return the JSON object in `text`, if it is of our version."""
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"not a {what}: {error}") from error
    if not isinstance(fields, dict) or fields.get("version") != PROTOCOL_VERSION:
        version = fields.get("version") if isinstance(fields, dict) else None
        raise ConfigError(
            f"a {what} of protocol version {version}, but this flwr-digest speaks version "
            f"{PROTOCOL_VERSION}: install the same flwr-digest on all nodes and the ServerApp"
        )
    return fields
