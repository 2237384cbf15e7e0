"""What goes over the wire: frames, `kind` in their first byte.

A gRPC message is one frame, or a bundle of several (see `bundle`).

All numbers are little-endian. An *order* is generation u32, node u64 (all ones: none), hop u32.

    HELLO     JSON: version, session, node, layout (fingerprint), about (the layout in words).
              The first frame of either side, and only the first.
    REFUSAL   UTF-8: why this side will not go on. The last frame.
    GOODBYE   nothing: this side leaves for good. The last frame.
    HOP       stream u16, flags u8 (1: closing, 2: with gradient rates, 4: with the age of news),
              order, changes u64, clock f64 (seconds), payload bytes u64,
              visits u16 times (node u64, life u32, number u32, hop u32, steps u32,
              and with the age of news: born f64 (seconds), behind u32),
              nodes seen on this tour, nodes finished: one bit each, by rank of their ids,
              dead links u16 times (rank u16, rank u16). No node and no link twice.
              The payload follows in CHUNKs; other frames may come between, but no other HOP.
    CHUNK     raw bytes: the shard of the model, float32, then its rates, if any, rounded (see
              `core.rounding`): an exponent i8 for each 32, then the numbers, i8.
    RECEIPT   stream u16, order of the hop, order of the newest copy known.
    INQUIRY   stream u16.
    SIGHTING  stream u16, order of the newest copy known.
    CLOSE     stream u16, order of the sender's copy.
    BUNDLE    length u32 and frame, one or more times; no BUNDLE among them.

Sizes, ranks and names are checked against the plan before memory is taken; the first frame that
breaks these rules costs the sender its link.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from flwr_digest.core.ids import Link, NodeId, StreamId, link
from flwr_digest.core.messages import Close, Hop, Inquiry, Message, Receipt, Sighting
from flwr_digest.core.rounding import cargo_bytes, split
from flwr_digest.core.stream import Stream, Tour
from flwr_digest.errors import RemoteProtocolError
from flwr_digest.overlay.fields import (
    CARGO,
    CLOSING,
    COUNT,
    HOP,
    PAIR,
    STREAM,
    WITH_NEWS,
    WITH_RATES,
    Frame,
    Kind,
    Reader,
    pack_order,
    pack_visit,
)
from flwr_digest.overlay.rooms import Room, Rooms

CHUNK_BYTES = 1 << 20
"""The least of a chunk, unless the vector is smaller; chunks of a vector are of one size, so each
is below twice that. Measured: smaller and larger are slower, and a small rest costs a message."""

VALUE = np.dtype("<f4")

_SMALL = (Kind.RECEIPT, Kind.INQUIRY, Kind.SIGHTING, Kind.CLOSE)


class Codec:
    """Turns messages into frames and back, by the members and sizes of one plan.

    Parameters
    ----------
    members : frozenset of NodeId
        All nodes of the session, as any may relay any stream; both ends rank them by id.
    sizes : mapping of StreamId to int
        How many float32 values each stream's shard has.
    rates : bool
        Whether streams carry gradient rates, too.
    """

    def __init__(
        self, members: frozenset[NodeId], sizes: Mapping[StreamId, int], *, rates: bool = False
    ) -> None:
        self.members = sorted(members)
        self.sizes = dict(sizes)
        self.rates = rates
        self._rank = {node: rank for rank, node in enumerate(self.members)}
        self._bitmap_bytes = (len(self.members) + 7) // 8
        self._rooms = Rooms()

    # --- out ----------------------------------------------------------------------------------

    def encode(self, message: Message) -> Iterator[bytes]:
        """Return the frames of a message, chunks of the cargo one by one as they are asked for.

        All but the chunks is encoded at once: what cannot be encoded fails in the caller's thread,
        not later in one of gRPC's.
        """
        match message:
            case Hop(stream=stream):
                model = np.ascontiguousarray(stream.model, dtype=VALUE)
                rates = [] if stream.rate is None else [_chunks(split(stream.rate))]
                return chain([self._hop_header(stream)], _chunks(model), *rates)
            case Receipt(stream_id=stream_id, order=order, newest=newest):
                body = STREAM.pack(stream_id) + pack_order(order) + pack_order(newest)
                return iter([bytes([Kind.RECEIPT]) + body])
            case Inquiry(stream_id=stream_id):
                return iter([bytes([Kind.INQUIRY]) + STREAM.pack(stream_id)])
            case Sighting(stream_id=stream_id, newest=newest):
                body = STREAM.pack(stream_id) + pack_order(newest)
                return iter([bytes([Kind.SIGHTING]) + body])
            case Close(stream_id=stream_id, order=order):
                body = STREAM.pack(stream_id) + pack_order(order)
                return iter([bytes([Kind.CLOSE]) + body])

    def _hop_header(self, stream: Stream) -> bytes:
        pairs = sorted(stream.tour.dead_links)
        visits = sorted(stream.visits.items())
        news = any((v.born_seconds, v.behind) != (0.0, 1) for _, v in visits)  # of other regions
        rates = stream.rate is not None
        flags = CLOSING * stream.closing + WITH_RATES * rates + WITH_NEWS * news
        payload_bytes = cargo_bytes(stream.model.size, rates=rates)
        return b"".join(
            [
                bytes([Kind.HOP]),
                HOP.pack(stream.stream_id, flags),
                pack_order(stream.order),
                CARGO.pack(stream.changes, stream.clock_seconds, payload_bytes),
                COUNT.pack(len(visits)),
                *(pack_visit(node, visit, news=news) for node, visit in visits),
                self._bitmap(stream.tour.seen),
                self._bitmap(stream.finished),
                COUNT.pack(len(pairs)),
                *(PAIR.pack(self._rank[p.low], self._rank[p.high]) for p in pairs),
            ]
        )

    def _bitmap(self, nodes: frozenset[NodeId]) -> bytes:
        bits = sum(1 << self._rank[node] for node in nodes)
        return bits.to_bytes(self._bitmap_bytes, "little")

    # --- in -----------------------------------------------------------------------------------

    def decode_small(self, frame: Frame) -> Message:
        """Return the message of a frame that is a whole message by itself."""
        reader = Reader(frame)
        kind = reader.kind()
        if kind not in _SMALL:
            raise RemoteProtocolError(f"a frame of kind {kind.name} out of place")
        stream_id = self._known(StreamId(reader.take(STREAM)[0]))
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

    def decode_hop(self, frame: Frame) -> Stream:
        """Return the stream that a HOP announces, its model and rates still empty (size 0).

        Nothing of the model's size is allocated before this has passed.
        """
        reader = Reader(frame)
        reader.kind()
        number, flags = reader.take(HOP)
        stream_id = self._known(StreamId(number))
        order = reader.order()
        changes, clock_seconds, payload_bytes = reader.cargo()
        self._check_payload(stream_id, flags, payload_bytes)
        news = bool(flags & WITH_NEWS)
        (visit_count,) = reader.take(COUNT)
        visits = dict(reader.visit(news=news) for _ in range(visit_count))
        seen = self._members_in(reader.raw(self._bitmap_bytes))
        finished = self._members_in(reader.raw(self._bitmap_bytes))
        (link_count,) = reader.take(COUNT)
        dead = frozenset(self._pair(reader) for _ in range(link_count))
        reader.end()
        if len(visits) != visit_count or len(dead) != link_count:
            raise RemoteProtocolError(f"stream {stream_id} names a visit or a dead link twice")
        return Stream(
            stream_id=stream_id,
            model=np.empty(0, dtype=VALUE),
            rate=np.empty(0, dtype=VALUE) if self.rates else None,
            fence=order.fence,
            hop=order.hop,
            visits=visits,
            tour=Tour(seen=seen, dead_links=dead),
            finished=finished,
            closing=bool(flags & CLOSING),
            changes=changes,
            clock_seconds=clock_seconds,
        )

    def payload_bytes(self, stream_id: StreamId) -> int:
        """Return how many bytes follow the header of a hop."""
        return cargo_bytes(self.sizes[stream_id], rates=self.rates)

    def room_for(self, stream_id: StreamId) -> Room:
        """Return room for these bytes, which is nobody else's."""
        return self._rooms.of(self.payload_bytes(stream_id))

    def model_bytes(self, stream_id: StreamId) -> int:
        """Return how many of these are the model."""
        return cargo_bytes(self.sizes[stream_id], rates=False)

    def _check_payload(self, stream_id: StreamId, flags: int, payload_bytes: int) -> None:
        if flags & ~(CLOSING | WITH_RATES | WITH_NEWS):
            raise RemoteProtocolError(f"stream {stream_id} announced with unknown flags {flags}")
        if bool(flags & WITH_RATES) != self.rates:
            told, ours = ("without", "with") if self.rates else ("with", "without")
            raise RemoteProtocolError(
                f"stream {stream_id} announced {told} gradient rates; the plan is {ours} them"
            )
        wanted = self.payload_bytes(stream_id)
        if payload_bytes != wanted:
            raise RemoteProtocolError(
                f"stream {stream_id} announced with {payload_bytes} bytes; the plan has {wanted}"
            )

    def _known(self, stream_id: StreamId) -> StreamId:
        if stream_id not in self.sizes:
            raise RemoteProtocolError(f"stream {stream_id} is not in the plan")
        return stream_id

    def _members_in(self, bitmap: Frame) -> frozenset[NodeId]:
        bits = int.from_bytes(bitmap, "little")
        if bits >> len(self.members):
            raise RemoteProtocolError(f"a bitmap of more than the {len(self.members)} nodes")
        return frozenset(node for rank, node in enumerate(self.members) if bits >> rank & 1)

    def _pair(self, reader: Reader) -> Link:
        one, other = reader.take(PAIR)
        if one == other or max(one, other) >= len(self.members):
            raise RemoteProtocolError(f"a link between nodes {one} and {other}: no such rank")
        return link(self.members[one], self.members[other])


def _chunks(values: npt.NDArray[Any]) -> Iterator[bytes]:
    """Yield values as CHUNK frames; each is the one copy that gRPC's `bytes` cost."""
    raw = values.data.cast("B")
    pieces = max(1, len(raw) // CHUNK_BYTES)
    size = max(1, -(-values.size // pieces)) * values.itemsize
    for start in range(0, len(raw), size):
        yield b"".join([_CHUNK_BYTE, raw[start : start + size]])


_CHUNK_BYTE = bytes([Kind.CHUNK])
