"""Short ways to make what the core's tests are about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import networkx as nx
import numpy as np

from flwr_digest.core.account import Account, Applied, contribute, open_account
from flwr_digest.core.cargo import Cargo
from flwr_digest.core.config import NodeConfig, StreamPlan
from flwr_digest.core.effects import Effect, Send
from flwr_digest.core.events import LocalSteps
from flwr_digest.core.ids import NO_FENCE, Fence, NodeId, ShardId, StreamId
from flwr_digest.core.messages import Hop
from flwr_digest.core.node import Node
from flwr_digest.core.shard import Shard
from flwr_digest.core.state import StationState, first_state, for_new_session
from flwr_digest.core.station import Station
from flwr_digest.core.stream import Stream, Tour
from flwr_digest.core.vector import Vector
from flwr_digest.core.walk import Topology

STREAM, OTHER = StreamId(0), StreamId(1)
SHARD = ShardId(0)
LIFE = 7
E = TypeVar("E", bound=Effect)


def topology_of(graph: nx.Graph[int]) -> Topology:
    return {NodeId(node): frozenset(map(NodeId, graph[node])) for node in graph}


TRIANGLE = topology_of(nx.complete_graph(3))
A, B, C = NodeId(0), NodeId(1), NodeId(2)
LAST = Tour(seen=frozenset({B, C}))
"""Of a copy that comes to A: the tour ends there."""


def vector(*values: float) -> Vector:
    return np.array(values, dtype=np.float32)


def cargo(model: float, rate: float | None = None) -> Cargo:
    """Return a cargo of one value."""
    return Cargo(model=vector(model), rate=None if rate is None else vector(rate))


def stream(**fields: Any) -> Stream:  # noqa: ANN401
    return Stream(**{"stream_id": STREAM, "model": vector(0), **fields})


def hop(generation: int, hop: int, *, node: NodeId = B, **fields: Any) -> Hop:  # noqa: ANN401
    return Hop(stream=stream(fence=Fence(generation, node), hop=hop, **fields))


def hop_in(effects: Sequence[Effect]) -> tuple[NodeId, Hop]:
    """Return the one hop among the effects, and where it goes."""
    hops = [(e.peer, e.message) for e in of_kind(Send, effects) if isinstance(e.message, Hop)]
    assert len(hops) == 1
    return hops[0]


def account(steps: int = 0, life: int = LIFE) -> Account:
    opened = open_account(cargo(0), life)
    return train(opened, steps) if steps else opened


def train(account: Account, steps: int) -> Account:
    """Let each step move the model by 1."""
    return contribute(account, cargo(steps), steps)


def applied(hop: int, steps: int, previous: int, fence: Fence = NO_FENCE) -> Applied:
    """Return an entry of an account's history; each step has moved the model by 1."""
    return Applied(
        fence=fence, hop=hop, steps=steps, entries=steps, inflow=cargo(steps), previous=previous
    )


def visiting(
    members: Iterable[NodeId], start: NodeId | None = None, shard: ShardId = SHARD
) -> StreamPlan:
    """Return the plan of a stream; it starts at the first of its members if not said."""
    found = frozenset(members)
    return StreamPlan(shard=shard, start=min(found) if start is None else start, members=found)


def config(
    *,
    topology: Topology = TRIANGLE,
    start: NodeId = A,
    **fields: Any,  # noqa: ANN401
) -> NodeConfig:
    """Return the part of node A in a plan of one stream that visits everyone."""
    given = {
        "node_id": A,
        "topology": topology,
        "streams": {STREAM: visiting(topology, start)},
        "weight": 1.0,
    }
    return NodeConfig(**{**given, **fields})


def node_of(
    config: NodeConfig, states: Mapping[StreamId, StationState] | None = None, life: int = LIFE
) -> Node:
    """Return a node, with new states for the streams for which none is given."""
    correct = config.drift_correction
    new = {
        s: for_new_session(first_state(s, vector(0), life), drift_correction=correct)
        for s, plan in config.streams.items()
        if config.node_id in plan.members
    }
    return Node(config, {**new, **(states or {})})


def station(*, state: StationState | None = None, **fields: Any) -> Station:  # noqa: ANN401
    """Return node A's station; the stream starts at A unless `start` says otherwise."""
    states = {} if state is None else {STREAM: state}
    return node_of(config(**fields), states).stations[STREAM]


def shard_of(made: Station) -> Shard:
    """Return the shard of a station at a member."""
    assert made.shard is not None
    return made.shard


def state_of(made: Station) -> StationState:
    """Return what would outlive the session, as the node would."""
    accounts, rate = shard_of(made).closed_books()
    found = accounts[made.stream_id]
    return StationState(account=found, kept=made.kept, highest=made.highest, rate=rate)


def put_account(made: Station, account: Account) -> None:
    """Give a station another account."""
    shard_of(made).regions[made.stream_id].account = account


def make_steps(made: Station, count: int, live: frozenset[NodeId], now: float) -> list[Effect]:
    """Let the node make local steps, each of which moves the model by 1."""
    shard_of(made).take_in(steps(count))
    return made.reconsider(live, now)


def end_training(made: Station, live: frozenset[NodeId], now: float) -> list[Effect]:
    """Let the node make no more local steps."""
    shard_of(made).trained = True
    return made.reconsider(live, now)


def steps(count: int, shard: ShardId = SHARD, gradients: float | None = None) -> LocalSteps:
    return LocalSteps(
        shard=shard,
        steps=count,
        displacement=vector(count),
        gradients=None if gradients is None else vector(gradients),
    )


def of_kind(kind: type[E], effects: Sequence[Effect]) -> list[E]:
    return [effect for effect in effects if isinstance(effect, kind)]
