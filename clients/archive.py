"""A node's memory as named arrays and a JSON header, and back: what the store writes and reads.

Gradient rates are left out: they are measured anew in every session (see `for_new_session`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from flwr_digest.clients.record import Cut, NodeRecord
from flwr_digest.core.account import Account, Applied
from flwr_digest.core.cargo import Cargo
from flwr_digest.core.ids import Fence, NodeId, StreamId
from flwr_digest.core.layout import Layout
from flwr_digest.core.shards import shard_slices
from flwr_digest.core.state import StationState
from flwr_digest.core.stream import Stream, Visit

VERSION = 2

Arrays = dict[str, npt.NDArray[Any]]


def to_archive(record: NodeRecord) -> Arrays:
    """Return a memory as arrays by name; the header is UTF-8 in one of them."""
    arrays: Arrays = {"model": record.model}
    arrays |= {f"rest/{name}": value for name, value in record.rest.items()}
    for stream_id, state in record.states.items():
        arrays |= _state_arrays(stream_id, state)
    header = {
        "version": VERSION,
        "layout": record.layout.to_json(),
        "order": list(record.order),
        "life": record.life,
        "cut": None if record.cut is None else _cut_to_json(record.cut),
        "streams": {str(s): _state_to_json(state) for s, state in record.states.items()},
    }
    return arrays | {"header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)}


def from_archive(arrays: Mapping[str, npt.NDArray[Any]]) -> NodeRecord:
    """Return the memory that `to_archive` made the arrays of.

    Raises
    ------
    AttributeError, ConfigError, KeyError, TypeError, ValueError
        The arrays are not those of a memory of this version.
    """
    header = json.loads(arrays["header"].tobytes())
    if header["version"] != VERSION:
        raise ValueError(f"version {header['version']}, not {VERSION}")
    layout = Layout.from_json(header["layout"])
    _check_size(arrays["model"], layout.size)
    names = {key.removeprefix("rest/") for key in arrays if key.startswith("rest/")}
    cut = None if header["cut"] is None else _cut_from(header["cut"])
    states = {
        StreamId(int(stream)): _state_from(int(stream), fields, arrays)
        for stream, fields in header["streams"].items()
    }
    slices = [] if cut is None else shard_slices(layout.size, cut.shards)
    for stream_id, state in states.items():
        if cut is None:
            raise ValueError("streams, but no word of what they carry")
        place = slices[cut.shard_of(stream_id)]
        _check_size(np.asarray(state.kept.model), place.stop - place.start)
    return NodeRecord(
        layout=layout,
        model=arrays["model"],
        order=tuple(header["order"]),
        rest={name: arrays[f"rest/{name}"] for name in names},
        life=int(header["life"]),
        cut=cut,
        states=states,
    )


def _check_size(values: npt.NDArray[Any], size: int) -> None:
    if values.shape != (size,):
        raise ValueError(f"{values.size} values, but a layout of {size}")


def _cut_to_json(cut: Cut) -> dict[str, Any]:
    return {"shards": cut.shards, "regions": [sorted(region) for region in cut.regions]}


def _cut_from(fields: dict[str, Any]) -> Cut:
    regions = tuple(frozenset(map(NodeId, region)) for region in fields["regions"])
    return Cut(shards=int(fields["shards"]), regions=regions)


def _state_arrays(stream_id: StreamId, state: StationState) -> Arrays:
    account = state.account
    parts: dict[str, Any] = {"kept": state.kept.model, "inflow": account.inflow.model}
    if account.deposit is not None:
        parts["deposit"] = account.deposit.model
    parts |= {f"applied/{n}": entry.inflow.model for n, entry in account.applied.items()}
    return {f"{stream_id}/{name}": np.asarray(value) for name, value in parts.items()}


def _state_to_json(state: StationState) -> dict[str, Any]:
    kept, account = state.kept, state.account
    return {
        "life": account.life,
        "steps": account.steps,
        "entries": account.entries,
        "applied": {
            str(n): [list(entry.fence), entry.hop, entry.steps, entry.entries, entry.previous]
            for n, entry in account.applied.items()
        },
        "fence": list(kept.fence),
        "hop": kept.hop,
        "changes": kept.changes,
        "clock_seconds": kept.clock_seconds,
        "visits": {
            str(node): [v.life, v.number, v.hop, v.steps, v.born_seconds, v.behind]
            for node, v in kept.visits.items()
        },
        "highest": list(state.highest),
    }


def _state_from(
    stream: int, fields: dict[str, Any], arrays: Mapping[str, npt.NDArray[Any]]
) -> StationState:
    deposit = arrays.get(f"{stream}/deposit")
    return StationState(
        account=Account(
            life=fields["life"],
            inflow=Cargo(model=arrays[f"{stream}/inflow"]),
            steps=fields["steps"],
            entries=fields["entries"],
            applied={
                int(n): _applied_from(row, arrays[f"{stream}/applied/{n}"])
                for n, row in fields["applied"].items()
            },
            deposit=None if deposit is None else Cargo(model=deposit),
        ),
        kept=Stream(
            stream_id=StreamId(stream),
            model=arrays[f"{stream}/kept"],
            fence=_fence(fields["fence"]),
            hop=fields["hop"],
            visits={NodeId(int(n)): _visit_from(row) for n, row in fields["visits"].items()},
            changes=fields["changes"],
            clock_seconds=fields["clock_seconds"],
        ),
        highest=_fence(fields["highest"]),
    )


def _applied_from(row: list[Any], inflow: npt.NDArray[Any]) -> Applied:
    fence, hop, steps, entries, previous = row
    return Applied(
        fence=_fence(fence),
        hop=hop,
        steps=steps,
        entries=entries,
        inflow=Cargo(model=inflow),
        previous=previous,
    )


def _visit_from(row: list[Any]) -> Visit:
    life, number, hop, steps, born_seconds, behind = row
    return Visit(
        life=life, number=number, hop=hop, steps=steps, born_seconds=born_seconds, behind=behind
    )


def _fence(pair: list[int]) -> Fence:
    return Fence(pair[0], NodeId(pair[1]))
