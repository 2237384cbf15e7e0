"""What a node remembers of a run, and how it becomes Flower's arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord

from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.core.layout import Entry, Layout
from flwr_digest.core.state import StationState
from flwr_digest.core.vector import all_finite
from flwr_digest.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Into what a plan cuts the model and the nodes: one stream for each shard and region.

    Attributes
    ----------
    shards : int
        How many slices of the model.
    regions : tuple of frozenset of NodeId
        The members of each region. Empty: one region, of all nodes, whoever they are.
    """

    shards: int
    regions: tuple[frozenset[NodeId], ...] = ()

    def shard_of(self, stream_id: StreamId) -> ShardId:
        """Return which shard a stream carries."""
        return ShardId(stream_id // max(1, len(self.regions)))

    def __str__(self) -> str:
        if not self.regions:
            return f"{self.shards} shards in 1 region"
        sizes = "+".join(str(len(region)) for region in self.regions)
        return f"{self.shards} shards in {len(self.regions)} regions of {sizes} nodes"


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
    doubles : frozenset of str
        Names of the arrays that the user gave as float64; they travel as float32.
    life : int
        Under which life it opens accounts, or has opened them.
    cut : Cut or None
        Into what the last session's plan cut model and nodes; None before the first session.
    states : mapping of StreamId to StationState
        For each stream that visits this node, the account and the last copy here; empty before the
        first session.
    epoch : int
        In which epoch the last session was: how often the streams had been cut anew.
    """

    layout: Layout
    model: npt.NDArray[np.float32]
    order: tuple[str, ...]
    rest: Mapping[str, npt.NDArray[np.generic]]
    life: int
    cut: Cut | None
    states: Mapping[StreamId, StationState]
    doubles: frozenset[str] = frozenset()
    epoch: int = 0


def first_record(arrays: ArrayRecord, life: int) -> NodeRecord:
    """Return the memory of a node that has just been handed the initial model.

    Raises
    ------
    ConfigError
        An array is floating-point but neither float32 nor float64, or there is nothing that could
        travel, or a value is not finite in float32.
    """
    values = {name: array.numpy() for name, array in arrays.items()}
    for name, value in values.items():
        if np.issubdtype(value.dtype, np.inexact) and not travels(value):
            raise ConfigError(
                f"array {name} is {value.dtype}: DIGEST needs float32, or float64, which travels "
                "as float32"
            )
    floats = {name: value for name, value in values.items() if travels(value)}
    layout = Layout(tuple(Entry(name, value.shape) for name, value in floats.items()))
    model = flattened(floats.values())
    if not all_finite(model):
        raise ConfigError("the initial model holds NaN or infinite values (as float32)")
    return NodeRecord(
        layout=layout,
        model=model,
        order=tuple(values),
        rest={name: value for name, value in values.items() if name not in floats},
        life=life,
        cut=None,
        states={},
        doubles=frozenset(name for name, value in floats.items() if value.dtype == np.float64),
    )


def travels(value: npt.NDArray[np.generic]) -> bool:
    """Return whether an array is of a kind that streams carry."""
    return value.dtype in (np.float32, np.float64)


def flattened(values: Iterable[npt.NDArray[np.generic]]) -> npt.NDArray[np.float32]:
    """Return arrays one after another, shape ``[d]``; what float32 cannot hold becomes infinite."""
    with np.errstate(over="ignore"):
        return np.concatenate([value.ravel().astype(np.float32, copy=False) for value in values])


def to_arrays(record: NodeRecord, model: npt.NDArray[np.floating]) -> ArrayRecord:
    """Return a flat model, shape ``[d]``, as the named arrays that the user's handler expects."""
    values = named(record, model, record.rest, copy=False)
    return ArrayRecord({name: Array(np.asarray(v, order="C")) for name, v in values.items()})


def named(
    record: NodeRecord,
    model: npt.NDArray[np.floating],
    rest: Mapping[str, npt.NDArray[np.generic]],
    *,
    copy: bool,
) -> dict[str, npt.NDArray[np.generic]]:
    """Return a flat model, shape ``[d]``, and what does not travel, as arrays in the user's order.

    With `copy` they are arrays of their own; else they may share memory with what was given.
    """
    values = {name: value.copy() if copy else value for name, value in rest.items()}
    for entry, place in record.layout.parts():
        kind = np.float64 if entry.name in record.doubles else np.float32
        values[entry.name] = model[place].reshape(entry.shape).astype(kind, copy=copy)
    return {name: values[name] for name in record.order}
