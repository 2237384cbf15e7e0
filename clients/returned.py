"""What a train handler gives back: the arrays that it got, trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from flwr.app import ArrayRecord, RecordDict

from flwr_digest.clients.record import NodeRecord, flattened, travels
from flwr_digest.errors import ConfigError

SHOWN = 6  # arrays of a layout that an error names

Named = Mapping[str, npt.NDArray[np.generic]]


class Returned(NamedTuple):
    """The arrays of one reply: the model, float32, shape ``[d]``, and what does not travel."""

    model: npt.NDArray[np.float32]
    rest: Named


def returned_by(content: RecordDict, record: NodeRecord, key: str) -> Returned:
    """Return what the train handler has made of the arrays that it was given.

    Parameters
    ----------
    content : RecordDict
        Of its reply.
    record : NodeRecord
        What it was given.
    key : str
        Under which name; only looked at where the reply has several ArrayRecords.

    Raises
    ------
    ConfigError
        There are no arrays, or others than it was given: other names, shapes or kinds. float32 and
        float64 count as one kind, as under FedAvg.
    """
    arrays = _arrays_in(content, key)
    values = {name: array.numpy() for name, array in arrays.items()}
    return matched(values, record, "the train handler")


def matched(values: Named, record: NodeRecord, who: str) -> Returned:
    """Return arrays by name as what they are of a model.

    Raises
    ------
    ConfigError
        They have other names, shapes or kinds than those of the record; says who, and names both.
    """
    values = {name: np.asarray(value) for name, value in values.items()}
    found = {name: _described(name, value) for name, value in values.items()}
    _check_equal(found, _layout_given(record), who)
    return Returned(
        model=flattened(values[entry.name] for entry in record.layout.entries),
        rest={name: values[name] for name in record.rest},
    )


def check_same(values: Named, given: Named) -> None:
    """Check that arrays have the names, shapes and kinds of others; all floats are of one kind.

    Raises
    ------
    ConfigError
        They have not; names both.
    """
    expected, found = (
        {name: _loosely(name, v) for name, v in row.items()} for row in (given, values)
    )
    _check_equal(found, expected, "the training loop")


def _check_equal(found: Mapping[str, str], expected: Mapping[str, str], who: str) -> None:
    if found != expected:
        raise ConfigError(
            f"{who} returned other arrays than it got: it got {_told(expected)}; "
            f"it returned {_told(found)}"
        )


def _arrays_in(content: RecordDict, key: str) -> ArrayRecord:
    records = content.array_records
    if len(records) == 1:
        return next(iter(records.values()))
    if key in records:
        return records[key]
    found = ", ".join(sorted(records)) or "none"
    raise ConfigError(
        "the train handler must return its trained model as one ArrayRecord, as for FedAvg, or "
        f"call attach(model, optimizer) before training; ArrayRecords in its reply: {found}"
    )


def _layout_given(record: NodeRecord) -> dict[str, str]:
    """Return each array's description by name, in the user's order."""
    shapes = {entry.name: entry.shape for entry in record.layout.entries}
    return {
        name: _described(name, record.rest[name])
        if name in record.rest
        else _text(name, shapes[name], "float")
        for name in record.order
    }


def _described(name: str, value: npt.NDArray[np.generic]) -> str:
    return _text(name, value.shape, "float" if travels(value) else str(value.dtype))


def _loosely(name: str, value: npt.NDArray[np.generic]) -> str:
    array = np.asarray(value)
    real = np.issubdtype(array.dtype, np.floating)
    return _text(name, array.shape, "float" if real else str(array.dtype))


def _text(name: str, shape: tuple[int, ...], kind: str) -> str:
    return f"{name}[{','.join(map(str, shape))}] {kind}"


def _told(layout: Mapping[str, str]) -> str:
    if not layout:
        return "no arrays"
    more = f" and {len(layout) - SHOWN} more" if len(layout) > SHOWN else ""
    return ", ".join(list(layout.values())[:SHOWN]) + more
