"""How a node's memory fits a session's plan: the streams' states before it, the model after it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from flwr_digest.clients.record import Cut, NodeRecord
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.plan import Plan
from flwr_digest.core.shards import shard_slices
from flwr_digest.core.state import StationState, first_state, for_new_session
from flwr_digest.errors import ConfigError


def cut_of(plan: Plan) -> Cut:
    """Return into what a plan cuts the model and the nodes."""
    everyone = frozenset(plan.topology)
    members = [plan.streams[stream_id].members for stream_id in sorted(plan.streams)]
    regions = members[: len(members) // plan.shards]
    regional = any(region != everyone for region in regions)
    return Cut(shards=plan.shards, regions=tuple(regions) if regional else ())


def states_for(record: NodeRecord, plan: Plan, node: NodeId) -> Mapping[StreamId, StationState]:
    """Return the states with which a node enters a session, of each stream that visits it.

    Before a node's first session there are none: then its model, the initial one, is what it has
    of every stream.

    Raises
    ------
    ConfigError
        An earlier session of this run was cut differently. What the node has given to its streams
        would be lost, or counted twice.
    """
    cut = cut_of(plan)
    if record.cut not in (None, cut):
        raise ConfigError(
            f"this node's last session in this run had {record.cut}, and the plan has {cut}: "
            "shards and regions stay the same within a run, and so do the nodes of regions"
        )
    slices = shard_slices(record.layout.size, plan.shards)
    states = {}
    for stream_id, stream in plan.streams.items():
        if node in stream.members:
            state = record.states.get(stream_id)
            if state is None:
                initial = record.model[slices[stream.shard]]
                state = first_state(stream_id, initial, record.life)
            states[stream_id] = for_new_session(state, drift_correction=plan.drift_correction)
    return states


def streams_model(record: NodeRecord) -> npt.NDArray[np.float32]:
    """Return the model that the last copies here make together, float32, shape ``[d]``.

    Of each shard it is the copy that has come furthest; a gateway has several. After a session
    that has closed they all are the final model.
    """
    if record.cut is None:
        return record.model
    newest = []
    for shard in range(record.cut.shards):
        copies = [
            state.kept
            for stream_id, state in record.states.items()
            if record.cut.shard_of(stream_id) == shard
        ]
        newest.append(max(copies, key=lambda copy: copy.order))
    return np.concatenate([np.asarray(copy.model, dtype=np.float32) for copy in newest])
