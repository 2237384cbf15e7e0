"""Where arrays are in a state file, and how they get there and back."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flwr_digest.overlay.seal import Seal

ALIGNED_BYTES = 64  # a cache line: where arrays begin


class Place(NamedTuple):
    """Where an array is in the file, and what it must look like."""

    offset: int
    dtype: str
    shape: tuple[int, ...]
    checksum: int

    @property
    def end(self) -> int:
        """Where the next array may begin."""
        return aligned(self.offset + self.size_bytes)

    @property
    def size_bytes(self) -> int:
        """How many bytes the array takes."""
        size = np.dtype(self.dtype).itemsize
        for length in self.shape:
            size *= length
        return size


def aligned(offset: int) -> int:
    """Return where the next array may begin, at `offset` or after it."""
    return -(-offset // ALIGNED_BYTES) * ALIGNED_BYTES


def gap(taken: list[Place], start: int, size: int) -> int:
    """Return where `size` bytes fit between what is taken, as early as possible."""
    at = start
    for place in sorted(taken):
        if place.offset - at >= size:
            return at
        at = max(at, place.end)
    return at


def write(fd: int, data: memoryview | bytes, at: int) -> None:
    """Write all of some bytes."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, at)
        view, at = view[written:], at + written


def write_array(fd: int, at: int, values: npt.NDArray[Any]) -> Place:
    """Write an array, and return its place."""
    if values.dtype.hasobject:
        raise ValueError("Object arrays cannot be saved")
    data = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
    write(fd, data, at)
    return Place(at, values.dtype.str, values.shape, zlib.crc32(data))


def write_index(fd: int, find: Callable[[int], int], places: Mapping[str, Place]) -> Seal:
    """Write an index where `find` says that so many bytes fit, and return the seal for it."""
    index = json.dumps(places).encode()
    at = find(len(index))
    write(fd, index, at)
    return Seal(offset=at, length=len(index), checksum=zlib.crc32(index))


def place_of_index(seal: Seal) -> Place:
    """Return where the index is that a seal points to."""
    return Place(seal.offset, "|u1", (seal.length,), seal.checksum)


def read_index(fd: int, seal: Seal) -> dict[str, Place]:
    """Return the index that a seal points to; `ValueError` where it is torn."""
    index = os.pread(fd, seal.length, seal.offset)
    if len(index) < seal.length or zlib.crc32(index) != seal.checksum:
        raise ValueError("the index is torn")
    return {
        str(name): Place(int(offset), str(dtype), tuple(map(int, shape)), int(checksum))
        for name, (offset, dtype, shape, checksum) in json.loads(index).items()
    }


def read_array(fd: int, name: str, place: Place) -> npt.NDArray[Any]:
    """Return an array as it was written; `ValueError` where it is torn."""
    if place.offset + place.size_bytes > os.fstat(fd).st_size:
        raise ValueError(f"array {name} is cut off")
    data = np.empty(place.size_bytes, dtype=np.uint8)
    view, at = data.data, place.offset
    while view and (count := os.preadv(fd, [view], at)):
        view, at = view[count:], at + count
    if view or zlib.crc32(data.data) != place.checksum:
        raise ValueError(f"array {name} is torn")
    return data.view(np.dtype(place.dtype)).reshape(place.shape)
