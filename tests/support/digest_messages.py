"""Messages as the broker sends them, and the plan of a node that is alone. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MessageType, RecordDict

from flwr_digest.core.config import StreamPlan
from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.core.plan import Phase, Plan
from tests.support.flower_grid import RUN_ID


def context_of(node: int, config: Mapping[str, str | int]) -> Context:
    return Context(
        run_id=RUN_ID,
        node_id=node,
        node_config=dict(config),
        state=RecordDict(),
        run_config={},
    )


def digest_message(
    phase: Phase,
    *,
    node: int,
    arrays: ArrayRecord | None = None,
    plan: Plan | None = None,
    insecure: bool = False,
) -> Message:
    """Return a message as the broker sends it in a phase."""
    fields: dict[str, str | bool] = {"phase": phase.value, "arrays-key": "arrays"}
    fields["insecure"] = insecure
    if plan is not None:
        fields["plan"] = plan.to_json()
    content = RecordDict({"digest": ConfigRecord({**fields}), "config": ConfigRecord({"lr": 0.1})})
    if arrays is not None:
        content["arrays"] = arrays
    kind = MessageType.EVALUATE if phase is Phase.EVALUATE else MessageType.TRAIN
    return Message(content, dst_node_id=node, message_type=kind)


def plan_for_one(
    node: int, *, insecure: bool = False, shards: int = 1, drift_correction: bool = False
) -> Plan:
    """Return the plan of a session that a node has for itself."""
    me = NodeId(node)
    streams = {
        StreamId(shard): StreamPlan(shard=ShardId(shard), start=me, members=frozenset({me}))
        for shard in range(shards)
    }
    return Plan(
        session="alone",
        topology={me: frozenset()},
        peers={},
        streams=streams,
        weight=1.0,
        local_steps=0,
        seed=0,
        generation=0,
        session_seconds=30.0,
        insecure=insecure,
        drift_correction=drift_correction,
    )
