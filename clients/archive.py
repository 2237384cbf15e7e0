"""A node's memory as named arrays and back: what the store writes and reads.

Between sessions gradient rates are left out: they are measured anew in each (see
`for_new_session`). During a session they are in, and the node's own model is not: a process that
comes back goes on from the models that the streams have left here.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from flwr_digest.clients.record import Cut, NodeRecord
from flwr_digest.clients.sessions import streams_model
from flwr_digest.core.ids import NodeId
from flwr_digest.core.layout import Layout
from flwr_digest.core.shards import shard_slices
from flwr_digest.core.state import for_new_session
from flwr_digest.overlay.memory import json_array, state_arrays, states_from
from flwr_digest.overlay.statefile import Arrays

VERSION = 5
NO_MODEL = np.empty(0, dtype=np.float32)


def to_archive(record: NodeRecord) -> Arrays:
    """Return a memory between sessions as arrays by name."""
    arrays = {**frame_of(record), "model": record.model}
    for stream_id, state in record.states.items():
        arrays |= state_arrays(stream_id, for_new_session(state, drift_correction=False))
    return arrays


def frame_of(record: NodeRecord) -> Arrays:
    """Return what of a memory stays the same throughout a session, as arrays by name."""
    header = {
        "version": VERSION,
        "layout": record.layout.to_json(),
        "order": list(record.order),
        "doubles": sorted(record.doubles),
        "life": record.life,
        "cut": None if record.cut is None else _cut_to_json(record.cut),
        "epoch": record.epoch,
    }
    rest = {f"rest/{name}": np.asarray(value) for name, value in record.rest.items()}
    return {"header": json_array(header), **rest}


def from_archive(arrays: Arrays) -> NodeRecord:
    """Return the memory that `to_archive` made the arrays of, or a session has left.

    Raises
    ------
    AttributeError, ConfigError, KeyError, TypeError, ValueError
        The arrays are not those of a memory of this version.
    """
    header = json.loads(arrays["header"].tobytes())
    if header["version"] != VERSION:
        raise ValueError(f"version {header['version']}, not {VERSION}")
    names = {key.removeprefix("rest/") for key in arrays if key.startswith("rest/")}
    record = NodeRecord(
        layout=Layout.from_json(header["layout"]),
        model=arrays.get("model", NO_MODEL),
        order=tuple(header["order"]),
        rest={name: arrays[f"rest/{name}"] for name in names},
        life=int(header["life"]),
        cut=None if header["cut"] is None else _cut_from(header["cut"]),
        states=states_from(arrays),
        doubles=frozenset(map(str, header["doubles"])),
        epoch=int(header["epoch"]),
    )
    _check_streams(record)
    if "model" not in arrays:
        record = replace(record, model=streams_model(record))
    _check_size(record.model, record.layout.size)
    return record


def _check_streams(record: NodeRecord) -> None:
    if not record.states:
        return
    if record.cut is None:
        raise ValueError("streams, but no word of what they carry")
    slices = shard_slices(record.layout.size, record.cut.shards)
    for stream_id, state in record.states.items():
        place = slices[record.cut.shard_of(stream_id)]
        _check_size(np.asarray(state.kept.model), place.stop - place.start)


def _check_size(values: npt.NDArray[Any], size: int) -> None:
    if values.shape != (size,):
        raise ValueError(f"{values.size} values, but a layout of {size}")


def _cut_to_json(cut: Cut) -> dict[str, Any]:
    return {"shards": cut.shards, "regions": [sorted(region) for region in cut.regions]}


def _cut_from(fields: dict[str, Any]) -> Cut:
    regions = tuple(frozenset(map(NodeId, region)) for region in fields["regions"])
    return Cut(shards=int(fields["shards"]), regions=regions)
