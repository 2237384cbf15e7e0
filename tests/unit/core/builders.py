"""Short ways to make what the core's tests are about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import networkx as nx
import numpy as np

from flwr_digest.core.account import Account, contribute, open_account
from flwr_digest.core.config import NodeConfig
from flwr_digest.core.effects import Effect
from flwr_digest.core.events import LocalSteps
from flwr_digest.core.ids import Fence, NodeId, StreamId
from flwr_digest.core.messages import Hop
from flwr_digest.core.state import first_state
from flwr_digest.core.station import Station
from flwr_digest.core.stream import Stream
from flwr_digest.core.vector import Vector
from flwr_digest.core.walk import Topology

STREAM = StreamId(0)
LIFE = 7
E = TypeVar("E", bound=Effect)


def topology_of(graph: nx.Graph[int]) -> Topology:
    return {NodeId(node): frozenset(map(NodeId, graph[node])) for node in graph}


TRIANGLE = topology_of(nx.complete_graph(3))
A, B, C = NodeId(0), NodeId(1), NodeId(2)


def vector(*values: float) -> Vector:
    return np.array(values, dtype=np.float32)


def stream(**fields: Any) -> Stream:  # noqa: ANN401
    return Stream(**{"stream_id": STREAM, "model": vector(0), **fields})


def hop(generation: int, hop: int, *, node: NodeId = B, **fields: Any) -> Hop:  # noqa: ANN401
    return Hop(stream=stream(fence=Fence(generation, node), hop=hop, **fields))


def account(steps: int = 0, life: int = LIFE) -> Account:
    return train(open_account(vector(0), life), steps)


def train(account: Account, steps: int) -> Account:
    """Let each step move the model by 1."""
    return contribute(account, vector(steps), steps, weight=1.0)


def config(**fields: Any) -> NodeConfig:  # noqa: ANN401
    given = {"node_id": A, "topology": TRIANGLE, "streams": {STREAM: A}, "weight": 1.0}
    return NodeConfig(**{**given, **fields})


def station(**fields: Any) -> Station:  # noqa: ANN401
    """Return node A's station; the stream starts at A unless `streams` says otherwise."""
    return Station(config(**fields), STREAM, first_state(STREAM, vector(0), LIFE))


def steps(count: int) -> LocalSteps:
    return LocalSteps(stream_id=STREAM, steps=count, displacement=vector(count))


def of_kind(kind: type[E], effects: Sequence[Effect]) -> list[E]:
    return [effect for effect in effects if isinstance(effect, kind)]
