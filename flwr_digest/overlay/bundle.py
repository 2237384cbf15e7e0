"""Several frames in one gRPC message: a message costs as much as 300 KB do (measured).

A BUNDLE is the byte 10, then for each frame its length u32 (little-endian) and the frame itself,
first byte and all. There are no bundles in bundles. Whoever takes one in goes on as if its frames
had come one by one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from flwr_digest.errors import RemoteProtocolError
from flwr_digest.overlay.fields import Frame, Kind

FULL_BUNDLE_BYTES = 128 << 10
"""A bundle that is larger is sent: nothing is gained by what comes after. A hop and its first chunk
go together: copying a megabyte once more costs less than another message (measured)."""

MOST_BUNDLE_BYTES = 4 << 20
"""What is taken in: the largest chunk, all that can have come before it, and room to spare."""

_LENGTH = struct.Struct("<I")
_BUNDLE = bytes([Kind.BUNDLE])


class Parcel(NamedTuple):
    """A gRPC message, and the frames that are in it."""

    message: bytes
    frames: Sequence[Frame]


def bundled(frames: Iterable[bytes | None]) -> Iterator[Parcel]:
    """Yield what is to be sent: frames that are there at once together, up to a large one.

    Parameters
    ----------
    frames : iterable of bytes or None
        The frames; None where the next one is not there yet, so that none waits for it.
    """
    waiting: list[bytes] = []
    size = 1
    for frame in frames:
        more = 0 if frame is None else _LENGTH.size + len(frame)
        if waiting and (frame is None or size + more > MOST_BUNDLE_BYTES):
            yield _packed(waiting)
            size = 1
        if frame is not None:
            waiting.append(frame)
            size += more
        if size > FULL_BUNDLE_BYTES:
            del frame  # or a chunk stays in memory beside its copy for as long as that is sent
            yield _packed(waiting)
            size = 1
    if waiting:
        yield _packed(waiting)


def _packed(waiting: list[bytes]) -> Parcel:
    """Return all that waits, as one message; then nothing does."""
    if len(waiting) == 1:
        frame = waiting.pop()
        return Parcel(frame, [frame])
    parts = [_BUNDLE]
    for frame in waiting:
        parts += (_LENGTH.pack(len(frame)), frame)
    message = b"".join(parts)
    waiting.clear()
    return Parcel(message, unbundled(message))


def unbundled(message: bytes) -> list[Frame]:
    """Return the frames in what has come, without a copy: of a bundle all, else the one it is.

    Raises
    ------
    RemoteProtocolError
        A bundle that is empty, too large, or cut off; or one in another.
    """
    if message[:1] != _BUNDLE:
        return [message]
    if not 1 < len(message) <= MOST_BUNDLE_BYTES:
        raise RemoteProtocolError(
            f"a bundle of {len(message)} bytes: 2 to {MOST_BUNDLE_BYTES} are possible"
        )
    frames: list[Frame] = []
    view, at = memoryview(message), 1
    while at < len(message):
        start = at + _LENGTH.size
        if start > len(message):
            raise RemoteProtocolError("a bundle that ends within a length")
        at = start + _LENGTH.unpack_from(message, at)[0]
        if at > len(message):
            raise RemoteProtocolError("a bundle that ends within a frame")
        frames.append(view[start:at])
        if frames[-1][:1] == _BUNDLE:
            raise RemoteProtocolError("a bundle within a bundle")
    return frames
