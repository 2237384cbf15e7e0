"""What the links to one neighbor have carried, and how long it took: counted as it happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from threading import Lock

from flwr_digest.core.ids import Order, StreamId
from flwr_digest.overlay.bundle import Parcel
from flwr_digest.overlay.fields import Frame, Kind

SMOOTHING = 1 / 8
"""Share of the newest in a smoothed time: that of RFC 6298."""

# What the layers below add to a message; see `wire_bytes`.
_GRPC_PREFIX_BYTES = 5  # compressed or not, length
_HTTP2_HEADER_BYTES = 9  # of each DATA frame
_HTTP2_FRAME_BYTES = 16_384  # the most that every HTTP/2 end takes in (RFC 9113)
_TLS_RECORD_BYTES = 16_384  # the most that TLS puts in a record
_TLS_RECORD_ADDS = 22  # TLS 1.3: header 5, content type 1, tag 16
_SEGMENT_BYTES = 1_448  # TCP over Ethernet: 1500 less the next line
_SEGMENT_ADDS = 52  # IPv4 20, TCP 20, its timestamps 12
_CHUNK = bytes([Kind.CHUNK])


def wire_bytes(message_bytes: int, *, secure: bool) -> int:
    """Return how many bytes a gRPC message takes up on the wire: an estimate, from the standards.

    gRPC does not tell, nor give its sockets away. Counted are the headers of gRPC, HTTP/2, TLS (if
    `secure`), TCP and IPv4; not counted what has no message of ours to go with: acknowledgements,
    window updates, pings, segments that are sent again, and the set-up of a connection. Messages
    that share a segment make it less.
    """
    size = message_bytes + _GRPC_PREFIX_BYTES
    size += _HTTP2_HEADER_BYTES * _pieces(size, _HTTP2_FRAME_BYTES)
    if secure:
        size += _TLS_RECORD_ADDS * _pieces(size, _TLS_RECORD_BYTES)
    return size + _SEGMENT_ADDS * _pieces(size, _SEGMENT_BYTES)


def _pieces(size: int, most: int) -> int:
    return -(-size // most)


@dataclass(kw_only=True)
class Traffic:
    """What has gone over the links to one neighbor in this session. Read it at any time.

    Attributes
    ----------
    payload_bytes_sent, payload_bytes_received : int
        The models' own bytes.
    control_bytes_sent, control_bytes_received : int
        Every other byte of every frame and bundle.
    wire_bytes_sent, wire_bytes_received : int
        Both, and what the layers below add: an estimate, see `wire_bytes`.
    frames_sent, frames_received : int
        Frames; several small ones may share a gRPC message.
    hops_resent : int
        Hops that were sent to the neighbor once more.
    round_trip_seconds, longest_round_trip_seconds : float
        From a hop's `Link.send` to its receipt, smoothed, and the longest; 0 before the first. It
        has the time in which the model is transferred in it. Of hops that were sent again nobody
        knows which one was acknowledged (Karn), so they do not count.
    transfer_seconds, longest_transfer_seconds : float
        Of the streams that came in: from the hop's frame to the last of its chunks, as above.
    """

    payload_bytes_sent: int = 0
    control_bytes_sent: int = 0
    wire_bytes_sent: int = 0
    payload_bytes_received: int = 0
    control_bytes_received: int = 0
    wire_bytes_received: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    hops_resent: int = 0
    round_trip_seconds: float = 0.0
    longest_round_trip_seconds: float = 0.0
    transfer_seconds: float = 0.0
    longest_transfer_seconds: float = 0.0

    def __post_init__(self) -> None:
        # No fields: these are nobody else's business. The lock is for the moments in which an old
        # link and the one that replaces it both count.
        self._lock = Lock()
        self._under_way: dict[StreamId, tuple[Order, float]] = {}
        self._last_sent: dict[StreamId, Order] = {}

    def counts(self) -> dict[str, int]:
        """Return what can be added up over neighbors."""
        return {name: value for name, value in asdict(self).items() if isinstance(value, int)}

    def sent(self, parcel: Parcel, *, secure: bool = False) -> None:
        """Count a gRPC message that goes out over a link with TLS, or without."""
        size, payload = len(parcel.message), _payload_bytes(parcel.frames)
        with self._lock:
            self.payload_bytes_sent += payload
            self.control_bytes_sent += size - payload
            self.wire_bytes_sent += wire_bytes(size, secure=secure)
            self.frames_sent += len(parcel.frames)

    def received(self, parcel: Parcel, *, secure: bool = False) -> None:
        """Count a gRPC message that has come in, likewise."""
        size, payload = len(parcel.message), _payload_bytes(parcel.frames)
        with self._lock:
            self.payload_bytes_received += payload
            self.control_bytes_received += size - payload
            self.wire_bytes_received += wire_bytes(size, secure=secure)
            self.frames_received += len(parcel.frames)

    def hop_sent(self, stream_id: StreamId, order: Order, now: float) -> None:
        """Note that a hop is about to be sent, at `now` in seconds of any clock."""
        with self._lock:
            again = self._last_sent.get(stream_id) == order
            self._last_sent[stream_id] = order
            self.hops_resent += again
            if again:
                self._under_way.pop(stream_id, None)
            else:
                self._under_way[stream_id] = (order, now)

    def receipt_came(self, stream_id: StreamId, order: Order, now: float) -> None:
        """Note that the neighbor has acknowledged a hop."""
        with self._lock:
            under_way, sent_at = self._under_way.get(stream_id, (None, now))
            if under_way != order:
                return
            del self._under_way[stream_id]
            seconds = now - sent_at
            self.round_trip_seconds = _smoothed(self.round_trip_seconds, seconds)
            self.longest_round_trip_seconds = max(self.longest_round_trip_seconds, seconds)

    def stream_came(self, seconds: float) -> None:
        """Note how long a stream took to come in."""
        with self._lock:
            self.transfer_seconds = _smoothed(self.transfer_seconds, seconds)
            self.longest_transfer_seconds = max(self.longest_transfer_seconds, seconds)


def _smoothed(before: float, seconds: float) -> float:
    return before + SMOOTHING * (seconds - before) if before else seconds


def _payload_bytes(frames: Sequence[Frame]) -> int:
    return sum(len(frame) - 1 for frame in frames if frame[:1] == _CHUNK)
