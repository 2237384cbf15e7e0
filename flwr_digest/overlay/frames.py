"""What goes over the wire: one gRPC message is one frame, `kind` in its first byte.

All numbers are little-endian. An *order* is generation u32, node u64 (all ones: none), hop u32.

    HELLO     JSON: version, session, node, layout (fingerprint), about (the layout in words).
              The first frame of either side, and only the first.
    REFUSAL   UTF-8: why this side will not go on. The last frame.
    GOODBYE   nothing: this side leaves for good. The last frame.
    HOP       stream u16, flags u8 (1: closing), order, model bytes u64,
              visits u16 times (node u64, life u32, number u32, hop u32, steps u32),
              members seen on this tour, members finished: one bit each, by rank of their ids,
              dead links u16 times (rank u16, rank u16).
              The model follows in CHUNKs; other frames may come between, but no other HOP.
    CHUNK     float32 values of the model, raw.
    RECEIPT   stream u16, order of the hop, order of the newest copy known.
    INQUIRY   stream u16.
    SIGHTING  stream u16, order of the newest copy known.
    CLOSE     stream u16, order of the sender's copy.

Sizes, ranks and names are checked against the plan before memory is taken; the first frame that
breaks these rules costs the sender its link.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain

import numpy as np

from flwr_digest.core.ids import Fence, Link, NodeId, Order, StreamId, link
from flwr_digest.core.messages import Close, Hop, Inquiry, Message, Receipt, Sighting
from flwr_digest.core.plan import PROTOCOL_VERSION
from flwr_digest.core.stream import Stream, Tour, Visit
from flwr_digest.core.vector import Vector
from flwr_digest.errors import RemoteProtocolError

CHUNK_BYTES = 1 << 20  # measured: 1 MB is best for whole models, smaller and larger are slower
MOST_TEXT_BYTES = 4096  # of a hello or a refusal
MOST_COUNT = 2**31  # no session gets there; what is counted on from it still fits into u32
VALUE = np.dtype("<f4")

_ORDER = struct.Struct("<IQI")
_HOP = struct.Struct("<HB")
_STREAM = struct.Struct("<H")
_SIZES = struct.Struct("<QH")
_VISIT = struct.Struct("<QIIII")
_COUNT = struct.Struct("<H")
_PAIR = struct.Struct("<HH")
_NOBODY = 2**64 - 1
_CLOSING = 1


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


_SMALL = (Kind.RECEIPT, Kind.INQUIRY, Kind.SIGHTING, Kind.CLOSE)


@dataclass(frozen=True, kw_only=True)
class LinkHello:
    """How a node introduces itself on a link.

    Attributes
    ----------
    session, node
        Which session the sender takes part in, and who it is.
    layout : str
        Fingerprint of the sender's model layout.
    about : str
        The layout in words, for the error message.
    """

    session: str
    node: NodeId
    layout: str
    about: str

    def to_frame(self) -> bytes:
        """Return the HELLO frame."""
        fields = {
            "version": PROTOCOL_VERSION,
            "session": self.session,
            "node": self.node,
            "layout": self.layout,
            "about": self.about,
        }
        return bytes([Kind.HELLO]) + json.dumps(fields).encode()

    @staticmethod
    def from_frame(frame: bytes) -> LinkHello:
        """Return the hello in a frame.

        Raises
        ------
        RemoteProtocolError
            The frame is no hello of our version, or the sender refused us (then with its reason).
        """
        if frame[:1] == bytes([Kind.REFUSAL]):
            raise RemoteProtocolError(f"refused: {text_of(frame)}")
        if frame[:1] != bytes([Kind.HELLO]) or len(frame) > MOST_TEXT_BYTES:
            raise RemoteProtocolError("the first frame was no hello")
        try:
            fields = json.loads(frame[1:])
            _check_version(fields["version"])  # first: other versions may have other fields
            return LinkHello(
                session=_line(fields["session"]),
                node=NodeId(int(fields["node"])),
                layout=_line(fields["layout"]),
                about=_line(fields["about"]),
            )
        except (ArithmeticError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise RemoteProtocolError(f"a hello that cannot be read: {error!r}") from error


def _check_version(version: object) -> None:
    if version != PROTOCOL_VERSION:
        raise RemoteProtocolError(
            f"it speaks protocol version {_line(version)}, this node {PROTOCOL_VERSION}: "
            "install the same flwr-digest on all nodes"
        )


def _line(text: object) -> str:
    """Return what a peer has said as one line, fit for a log."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def refusal(reason: str) -> bytes:
    """Return the REFUSAL frame for a reason in words."""
    return bytes([Kind.REFUSAL]) + reason.encode()[: MOST_TEXT_BYTES - 1]


GOODBYE = bytes([Kind.GOODBYE])


def text_of(frame: bytes) -> str:
    """Return the words of a REFUSAL."""
    return _line(frame[1:MOST_TEXT_BYTES].decode(errors="replace"))


class Codec:
    """Turns messages into frames and back, by the members and sizes of one plan.

    Parameters
    ----------
    members : iterable of NodeId
        The members of the session; both ends rank them by id.
    sizes : mapping of StreamId to int
        How many float32 values each stream's model has.
    """

    def __init__(self, members: frozenset[NodeId], sizes: Mapping[StreamId, int]) -> None:
        self.members = sorted(members)
        self.sizes = dict(sizes)
        self._rank = {node: rank for rank, node in enumerate(self.members)}
        self._bitmap_bytes = (len(self.members) + 7) // 8

    # --- out ----------------------------------------------------------------------------------

    def encode(self, message: Message) -> Iterator[bytes]:
        """Return the frames of a message, chunks of the model one by one as they are asked for.

        All but the chunks is encoded at once: what cannot be encoded fails in the caller's thread,
        not later in one of gRPC's.
        """
        match message:
            case Hop(stream=stream):
                return chain([self._hop_header(stream)], _chunks(stream.model))
            case Receipt(stream_id=stream_id, order=order, newest=newest):
                body = _STREAM.pack(stream_id) + _pack_order(order) + _pack_order(newest)
                return iter([bytes([Kind.RECEIPT]) + body])
            case Inquiry(stream_id=stream_id):
                return iter([bytes([Kind.INQUIRY]) + _STREAM.pack(stream_id)])
            case Sighting(stream_id=stream_id, newest=newest):
                body = _STREAM.pack(stream_id) + _pack_order(newest)
                return iter([bytes([Kind.SIGHTING]) + body])
            case Close(stream_id=stream_id, order=order):
                body = _STREAM.pack(stream_id) + _pack_order(order)
                return iter([bytes([Kind.CLOSE]) + body])

    def _hop_header(self, stream: Stream) -> bytes:
        pairs = sorted(stream.tour.dead_links)
        visits = sorted(stream.visits.items())
        return b"".join(
            [
                bytes([Kind.HOP]),
                _HOP.pack(stream.stream_id, _CLOSING if stream.closing else 0),
                _pack_order(stream.order),
                _SIZES.pack(stream.model.size * VALUE.itemsize, len(visits)),
                *(_VISIT.pack(n, v.life, v.number, v.hop, v.steps) for n, v in visits),
                self._bitmap(stream.tour.seen),
                self._bitmap(stream.finished),
                _COUNT.pack(len(pairs)),
                *(_PAIR.pack(self._rank[p.low], self._rank[p.high]) for p in pairs),
            ]
        )

    def _bitmap(self, nodes: frozenset[NodeId]) -> bytes:
        bits = sum(1 << self._rank[node] for node in nodes)
        return bits.to_bytes(self._bitmap_bytes, "little")

    # --- in -----------------------------------------------------------------------------------

    def decode_small(self, frame: bytes) -> Message:
        """Return the message of a frame that is a whole message by itself."""
        reader = _Reader(frame)
        kind = reader.kind()
        if kind not in _SMALL:
            raise RemoteProtocolError(f"a frame of kind {kind.name} out of place")
        stream_id = self._known(StreamId(reader.take(_STREAM)[0]))
        message: Message
        match kind:
            case Kind.RECEIPT:
                order, newest = reader.order(), reader.order()
                message = Receipt(stream_id=stream_id, order=order, newest=newest)
            case Kind.INQUIRY:
                message = Inquiry(stream_id=stream_id)
            case Kind.SIGHTING:
                message = Sighting(stream_id=stream_id, newest=reader.order())
            case _:
                message = Close(stream_id=stream_id, order=reader.order())
        reader.end()
        return message

    def decode_hop(self, frame: bytes) -> Stream:
        """Return the stream that a HOP announces, its model still empty (size 0).

        Nothing of the model's size is allocated before this has passed.
        """
        reader = _Reader(frame)
        reader.kind()
        number, flags = reader.take(_HOP)
        stream_id = self._known(StreamId(number))
        order = reader.order()
        model_bytes, visit_count = reader.take(_SIZES)
        wanted = self.sizes[stream_id] * VALUE.itemsize
        if model_bytes != wanted:
            raise RemoteProtocolError(
                f"stream {stream_id} announced with {model_bytes} bytes; the plan has {wanted}"
            )
        visits = dict(reader.visit() for _ in range(visit_count))
        seen = self._members_in(reader.raw(self._bitmap_bytes))
        finished = self._members_in(reader.raw(self._bitmap_bytes))
        dead = frozenset(self._pair(reader) for _ in range(reader.take(_COUNT)[0]))
        reader.end()
        return Stream(
            stream_id=stream_id,
            model=np.empty(0, dtype=VALUE),
            fence=order.fence,
            hop=order.hop,
            visits=visits,
            tour=Tour(seen=seen, dead_links=dead),
            finished=finished,
            closing=bool(flags & _CLOSING),
        )

    def _known(self, stream_id: StreamId) -> StreamId:
        if stream_id not in self.sizes:
            raise RemoteProtocolError(f"stream {stream_id} is not in the plan")
        return stream_id

    def _members_in(self, bitmap: bytes) -> frozenset[NodeId]:
        bits = int.from_bytes(bitmap, "little")
        if bits >> len(self.members):
            raise RemoteProtocolError(f"a bitmap of more than the {len(self.members)} members")
        return frozenset(node for rank, node in enumerate(self.members) if bits >> rank & 1)

    def _pair(self, reader: _Reader) -> Link:
        one, other = reader.take(_PAIR)
        if max(one, other) >= len(self.members):
            raise RemoteProtocolError(f"a link between members {one} and {other}: no such rank")
        return link(self.members[one], self.members[other])


class _Reader:
    """Reads a frame field by field; too short or too long is the sender's fault."""

    def __init__(self, frame: bytes) -> None:
        self.frame, self.at = frame, 0

    def raw(self, count: int) -> bytes:
        if self.at + count > len(self.frame):
            raise RemoteProtocolError(f"a frame of {len(self.frame)} bytes ends too early")
        self.at += count
        return self.frame[self.at - count : self.at]

    def take(self, form: struct.Struct) -> tuple[int, ...]:
        return form.unpack(self.raw(form.size))

    def kind(self) -> Kind:
        return kind_of(self.raw(1))

    def order(self) -> Order:
        generation, node, hop = self.take(_ORDER)
        if max(generation, hop) > MOST_COUNT:
            raise RemoteProtocolError(f"generation {generation}, hop {hop}: past {MOST_COUNT}")
        return Order(Fence(generation, NodeId(-1 if node == _NOBODY else node)), hop)

    def visit(self) -> tuple[NodeId, Visit]:
        node, life, number, hop, steps = self.take(_VISIT)
        return NodeId(node), Visit(life=life, number=number, hop=hop, steps=steps)

    def end(self) -> None:
        if self.at != len(self.frame):
            raise RemoteProtocolError(f"a frame with {len(self.frame) - self.at} bytes too many")


def kind_of(frame: bytes) -> Kind:
    """Return the kind of a frame; `RemoteProtocolError` where there is no such kind."""
    try:
        return Kind(frame[0])
    except (IndexError, ValueError) as error:
        raise RemoteProtocolError(f"a frame of unknown kind {frame[:1].hex() or 'none'}") from error


def _pack_order(order: Order) -> bytes:
    node = _NOBODY if order.fence.node < 0 else order.fence.node
    return _ORDER.pack(order.fence.generation, node, order.hop)


def _chunks(model: Vector) -> Iterator[bytes]:
    """Yield the model as CHUNK frames; each is the one copy that gRPC's `bytes` cost."""
    raw = np.ascontiguousarray(model, dtype=VALUE).data.cast("B")
    for start in range(0, len(raw), CHUNK_BYTES):
        yield b"".join([_CHUNK_BYTE, raw[start : start + CHUNK_BYTES]])


_CHUNK_BYTE = bytes([Kind.CHUNK])
