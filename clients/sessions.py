"""How a node's memory fits a session's plan: the streams' states before it, the model after it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from flwr_digest.clients.record import Cut, NodeRecord
from flwr_digest.core.epoch import Contents, carried_over, contents_of, fullest
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
    of every stream. In a new epoch what it has is carried over to the streams that visit it now.

    Raises
    ------
    ConfigError
        An earlier session of this run was cut differently, and this is no new epoch, or one with
        other shards. What the node has given to its streams would be lost, or counted twice.
    """
    _check_cut(record, plan)
    kept = record.states
    if plan.epoch > record.epoch and kept:
        kept = {
            stream_id: carried_over(states_of_shard(record, stream.shard), stream_id, node)
            for stream_id, stream in plan.streams.items()
            if node in stream.members
        }
    slices = shard_slices(record.layout.size, plan.shards)
    states = {}
    for stream_id, stream in plan.streams.items():
        if node in stream.members:
            state = kept.get(stream_id)
            if state is None:
                initial = record.model[slices[stream.shard]]
                state = first_state(stream_id, initial, record.life)
            states[stream_id] = for_new_session(state, drift_correction=plan.drift_correction)
    return states


def _check_cut(record: NodeRecord, plan: Plan) -> None:
    before, cut = record.cut, cut_of(plan)
    if before is None or (before == cut and plan.epoch == record.epoch):
        return
    if plan.epoch > record.epoch and cut.shards == before.shards:
        return
    raise ConfigError(
        f"this node's last session in this run had {before} (epoch {record.epoch}), and the plan "
        f"has {cut} (epoch {plan.epoch}): shards stay the same within a run, and within an epoch "
        "so do regions and their nodes"
    )


def states_of_shard(record: NodeRecord, shard: int) -> dict[StreamId, StationState]:
    """Return the states of the streams that carry a shard: one, and at a gateway several."""
    if record.cut is None:
        return {}
    shard_of = record.cut.shard_of
    return {s: state for s, state in record.states.items() if shard_of(s) == shard}


def contents_in(record: NodeRecord) -> tuple[Contents, ...]:
    """Return, for each shard, what the fullest copy here contains; see `Hello.contents`."""
    if record.cut is None or not record.states:
        return ()
    shards = (states_of_shard(record, shard) for shard in range(record.cut.shards))
    found = tuple(contents_of(fullest(states)) for states in shards)
    return found if any(found) else ()


def streams_model(record: NodeRecord) -> npt.NDArray[np.float32]:
    """Return the model that the last copies here make together, float32, shape ``[d]``.

    Of each shard it is the copy that has come furthest; a gateway has several. After a session
    that has closed they all are the final model.
    """
    if record.cut is None:
        return record.model
    newest = []
    for shard in range(record.cut.shards):
        copies = [state.kept for state in states_of_shard(record, shard).values()]
        newest.append(max(copies, key=lambda copy: copy.order))
    return np.concatenate([np.asarray(copy.model, dtype=np.float32) for copy in newest])
