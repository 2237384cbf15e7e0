"""What a node remembers of a run, and how it becomes Flower's arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord

from flwr_digest.core.ids import StreamId
from flwr_digest.core.layout import Entry, Layout
from flwr_digest.core.state import StationState, first_state
from flwr_digest.errors import ConfigError

THE_STREAM = StreamId(0)  # single-stream: it carries the whole vector


@dataclass(frozen=True, kw_only=True)
class NodeRecord:
    """A node's memory of one run.

    Attributes
    ----------
    layout : Layout
        Of the arrays that travel.
    model : array
        The node's own freshest model, float32, shape ``[d]``.
    order : tuple of str
        Names of all arrays in the order in which the user gave them.
    rest : mapping of str to array
        The arrays that do not travel (integers), as the user gave them.
    states : mapping of StreamId to StationState
        The accounts, and the last copy of each stream here.
    """

    layout: Layout
    model: npt.NDArray[np.float32]
    order: tuple[str, ...]
    rest: Mapping[str, npt.NDArray[np.generic]]
    states: Mapping[StreamId, StationState]


def first_record(arrays: ArrayRecord, life: int) -> NodeRecord:
    """Return the memory of a node that has just been handed the initial model.

    Raises
    ------
    ConfigError
        An array is floating-point but not float32, or there is nothing that could travel.
    """
    values = {name: array.numpy() for name, array in arrays.items()}
    for name, value in values.items():
        if np.issubdtype(value.dtype, np.inexact) and value.dtype != np.float32:
            raise ConfigError(f"array {name} is {value.dtype}: DIGEST needs float32")
    floats = {name: value for name, value in values.items() if value.dtype == np.float32}
    layout = Layout(tuple(Entry(name, value.shape) for name, value in floats.items()))
    model = np.concatenate([value.ravel() for value in floats.values()])
    if not np.isfinite(model).all():
        raise ConfigError("the initial model holds NaN or infinite values")
    return NodeRecord(
        layout=layout,
        model=model,
        order=tuple(values),
        rest={name: value for name, value in values.items() if name not in floats},
        states={THE_STREAM: first_state(THE_STREAM, model, life)},
    )


def to_arrays(record: NodeRecord, model: npt.NDArray[np.floating]) -> ArrayRecord:
    """Return a flat model, shape ``[d]``, as the named arrays that the user's handler expects."""
    named: dict[str, npt.NDArray[np.generic]] = dict(record.rest)
    for entry, place in record.layout.parts():
        named[entry.name] = model[place].reshape(entry.shape)
    return ArrayRecord({name: Array(np.asarray(named[name], order="C")) for name in record.order})
