"""A gRPC proxy between two nodes that knows frames: it can lose one message, or send it twice."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Condition

import grpc

from flwr_digest.overlay.bundle import unbundled
from flwr_digest.overlay.channel import METHOD, SERVICE
from flwr_digest.overlay.fields import Kind
from tests.support.contract import Fault
from tests.support.overlay_raw import serving

PAYLOAD_AT = 36  # in the header of a hop
KINDS = {
    Fault.LOSE_HOP: Kind.HOP,
    Fault.DOUBLE_HOP: Kind.HOP,
    Fault.LOSE_RECEIPT: Kind.RECEIPT,
}


@dataclass
class Weather:
    """What is to happen to messages, on whichever link they go."""

    faults: list[Fault] = field(default_factory=list)
    changed: Condition = field(default_factory=Condition)

    def befall(self, fault: Fault) -> None:
        """Let that happen to the next message of its kind."""
        with self.changed:
            self.faults.append(fault)

    def calm(self, seconds: float) -> bool:
        """Wait until all that was to happen has happened."""
        with self.changed:
            return self.changed.wait_for(lambda: not self.faults, seconds)

    def copies(self, kind: Kind) -> int:
        """Return how often a message of a kind goes on."""
        with self.changed:
            for fault in self.faults:
                if KINDS[fault] is kind:
                    self.faults.remove(fault)
                    self.changed.notify_all()
                    return 2 if fault is Fault.DOUBLE_HOP else 0
        return 1


class Passage:
    """A link of the plan: whoever dials it speaks with the node at `target`, if the link is up.

    Parameters
    ----------
    address, target : str
        Where it listens, and whom it dials for each call.
    weather : Weather
        What happens to the messages.
    """

    def __init__(self, address: str, target: str, weather: Weather) -> None:
        self.address = address
        self.up, self._mute, self._swallowed = True, False, False
        self._changed = Condition()
        self._target, self._weather = target, weather
        self._calls: set[grpc.Call] = set()
        self._serving = serving(address, self._call)
        self._serving.__enter__()

    def cut(self) -> None:
        """Drop all calls, and let none through."""
        self.up = False
        for call in list(self._calls):
            call.cancel()

    def heal(self) -> None:
        """Let calls and messages through again."""
        self.up, self._mute = True, False

    def mute(self) -> None:
        """Swallow all messages from now on."""
        self._mute, self._swallowed = True, False

    def has_swallowed(self, seconds: float) -> bool:
        """Wait until a link that swallows all has swallowed a hop; return whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: self._swallowed or not self._mute, seconds)

    def close(self) -> None:
        """End all calls and listen no more."""
        self.cut()
        self._serving.__exit__(None, None, None)

    def _call(self, frames: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        if self.up:
            with grpc.insecure_channel(
                self._target, options=[("grpc.use_local_subchannel_pool", 1)]
            ) as channel:
                method: grpc.StreamStreamMultiCallable[bytes, bytes]
                method = channel.stream_stream(f"/{SERVICE}/{METHOD}")
                call = method(self._passed_on(frames))
                self._calls.add(call)
                context.add_callback(lambda: _end(call))
                with suppress(grpc.RpcError):
                    yield from self._passed_on(call)
                self._calls.discard(call)
                call.cancel()
        context.abort(grpc.StatusCode.UNAVAILABLE, "the link is down")

    def _passed_on(self, frames: Iterator[bytes]) -> Iterator[bytes]:
        with suppress(grpc.RpcError):
            for message in whole_messages(bytes(each) for one in frames for each in unbundled(one)):
                for _ in range(self._copies(Kind(message[0][0]))):
                    yield from message

    def _copies(self, kind: Kind) -> int:
        if not self._mute:
            return self._weather.copies(kind)
        if kind is Kind.HOP:
            with self._changed:
                self._swallowed = True
                self._changed.notify_all()
        return 0


def _end(call: grpc.Call) -> None:
    call.cancel()


def whole_messages(frames: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Yield the frames of one message after the other; a hop comes with all its chunks."""
    hop: list[bytes] = []
    missing = 0
    for frame in frames:
        kind = Kind(frame[0])
        if kind is Kind.HOP:
            hop, (missing,) = [frame], struct.unpack_from("<Q", frame, PAYLOAD_AT)
        elif kind is Kind.CHUNK:
            hop.append(frame)
            missing -= len(frame) - 1
            if not missing:
                yield hop
        else:
            yield [frame]
