"""Sessions as a bench needs them: in plaintext, and for as long as it lasts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flwr_digest.core.config import StreamPlan
from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.core.layout import Layout
from flwr_digest.core.plan import Peer, Plan
from flwr_digest.core.shards import shard_slices
from flwr_digest.core.state import first_state, for_new_session
from flwr_digest.core.trainer import Trainer
from flwr_digest.core.walk import Topology
from flwr_digest.overlay.session import Session

SESSION_SECONDS = 3600.0  # longer than any bench
LIFE = 1


def bench_session(
    node: NodeId,
    *,
    listen: str,
    peers: Mapping[NodeId, str],
    graph: Topology,
    layout: Layout,
    trainer: Trainer,
    shards: int = 1,
    local_steps: int = 0,
) -> Session:
    """Return a session that a bench can enter.

    Parameters
    ----------
    node : NodeId
        Who this is.
    listen : str
        Its own address.
    peers : mapping of NodeId to str
        Where it finds its neighbors.
    graph : Topology
        All nodes and their neighbors.
    layout : Layout
        Of the model, which begins as zeros.
    trainer : Trainer
        Whoever trains.
    shards : int
        Streams; each starts one node after the last.
    local_steps : int
        This node's pace.
    """
    model = np.zeros(layout.size, dtype=np.float32)
    slices = shard_slices(layout.size, shards)
    nodes = sorted(graph)
    streams = {
        StreamId(shard): StreamPlan(
            shard=ShardId(shard), start=nodes[shard % len(nodes)], members=frozenset(nodes)
        )
        for shard in range(shards)
    }
    first = {s: first_state(s, model[slices[plan.shard]], LIFE) for s, plan in streams.items()}
    return Session(
        node_id=node,
        plan=Plan(
            session="bench",
            topology=graph,
            peers={peer: Peer(address=at, certificate="") for peer, at in peers.items()},
            streams=streams,
            weight=1 / len(nodes),
            local_steps=local_steps,
            seed=0,
            generation=0,
            session_seconds=SESSION_SECONDS,
            insecure=True,
            life=LIFE,
        ),
        layout=layout,
        identity=None,
        listen=listen,
        states={s: for_new_session(each, drift_correction=False) for s, each in first.items()},
        trainer=trainer,
    )
