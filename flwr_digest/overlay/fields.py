"""The fields of frames: how they are packed, and what may be in them."""

from __future__ import annotations

import struct
from dataclasses import replace
from enum import IntEnum

from flwr_digest.core.ids import Fence, NodeId, Order
from flwr_digest.core.stream import Visit
from flwr_digest.errors import RemoteProtocolError

MOST_COUNT = 2**31  # no session gets there; what is counted on from it still fits into u32
MOST_BEHIND = 2**16
"""Nodes that a visit brings news of: ranks of nodes are u16."""
MOST_SECONDS = 1e10
"""Of a stream's clock, either way: three hundred years. With more, sums could overflow."""

# What is packed; the names are those of the table in `frames`.
ORDER = struct.Struct("<IQI")
HOP = struct.Struct("<HB")
STREAM = struct.Struct("<H")
CARGO = struct.Struct("<QdQ")
VISIT = struct.Struct("<QIIII")
NEWS = struct.Struct("<dI")
COUNT = struct.Struct("<H")
PAIR = struct.Struct("<HH")
NOBODY = 2**64 - 1
CLOSING, WITH_RATES, WITH_NEWS = 1, 2, 4


Frame = bytes | memoryview
"""A frame that has come in: a part of the message it came in, not a copy."""


class Kind(IntEnum):
    """The first byte of a frame."""

    HELLO = 1
    REFUSAL = 2
    GOODBYE = 3
    HOP = 4
    CHUNK = 5
    RECEIPT = 6
    INQUIRY = 7
    SIGHTING = 8
    CLOSE = 9
    BUNDLE = 10


class Reader:
    """Reads a frame field by field.

    Raises
    ------
    RemoteProtocolError
        From every method: the frame is too short or too long, or a number cannot be.
    """

    def __init__(self, frame: Frame) -> None:
        self.frame, self.at = frame, 0

    def raw(self, count: int) -> Frame:
        """Return the next bytes."""
        start = self._next(count)
        return self.frame[start : self.at]

    def take(self, form: struct.Struct) -> tuple[int, ...]:
        """Return the next numbers."""
        return form.unpack_from(self.frame, self._next(form.size))

    def _next(self, count: int) -> int:
        """Go on by so many bytes, if there are; return where they begin."""
        start, self.at = self.at, self.at + count
        if self.at > len(self.frame):
            raise RemoteProtocolError(f"a frame of {len(self.frame)} bytes ends too early")
        return start

    def kind(self) -> Kind:
        """Return the kind of the frame, its first byte."""
        return kind_of(self.raw(1))

    def order(self) -> Order:
        """Return an order that leaves room to count on."""
        generation, node, hop = self.take(ORDER)
        if max(generation, hop) > MOST_COUNT:
            raise RemoteProtocolError(f"generation {generation}, hop {hop}: past {MOST_COUNT}")
        return Order(Fence(generation, NodeId(-1 if node == NOBODY else node)), hop)

    def cargo(self) -> tuple[int, float, int]:
        """Return a stream's changes, what its clock shows, and its payload in bytes."""
        changes, clock_seconds, payload_bytes = self.take(CARGO)
        if changes > MOST_COUNT:
            raise RemoteProtocolError(f"{changes} changes: past {MOST_COUNT}")
        if not abs(clock_seconds) <= MOST_SECONDS:
            raise RemoteProtocolError(f"a clock that shows {clock_seconds} s")
        return changes, clock_seconds, payload_bytes

    def visit(self, *, news: bool) -> tuple[NodeId, Visit]:
        """Return a visit, and to whom it was; with `news` it says how old its news was."""
        node, life, number, hop, steps = self.take(VISIT)
        if max(number, hop, steps) > MOST_COUNT:
            raise RemoteProtocolError(
                f"visit {number} at hop {hop} with {steps} steps: past {MOST_COUNT}"
            )
        visit = Visit(life=life, number=number, hop=hop, steps=steps)
        if not news:
            return NodeId(node), visit
        born_seconds, behind = self.take(NEWS)
        if not abs(born_seconds) <= MOST_SECONDS or behind > MOST_BEHIND:
            raise RemoteProtocolError(f"news of {behind} nodes, born at {born_seconds} s")
        return NodeId(node), replace(visit, born_seconds=born_seconds, behind=behind)

    def end(self) -> None:
        """Check that nothing is left."""
        if self.at != len(self.frame):
            raise RemoteProtocolError(f"a frame with {len(self.frame) - self.at} bytes too many")


_KINDS = {int(kind): kind for kind in Kind}


def kind_of(frame: Frame) -> Kind:
    """Return the kind of a frame; `RemoteProtocolError` where there is no such kind."""
    kind = _KINDS.get(frame[0]) if frame else None
    if kind is None:
        raise RemoteProtocolError(f"a frame of unknown kind {frame[:1].hex() or 'none'}")
    return kind


def pack_order(order: Order) -> bytes:
    """Return the field that `Reader.order` reads."""
    node = NOBODY if order.fence.node < 0 else order.fence.node
    return ORDER.pack(order.fence.generation, node, order.hop)


def pack_visit(node: NodeId, visit: Visit, *, news: bool) -> bytes:
    """Return the field that `Reader.visit` reads."""
    packed = VISIT.pack(node, visit.life, visit.number, visit.hop, visit.steps)
    return packed + NEWS.pack(visit.born_seconds, visit.behind) if news else packed
