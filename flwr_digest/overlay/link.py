"""One live link to one neighbor: frames out, frames in, what they weighed and how long it took."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event

import grpc

from flwr_digest.core.ids import NodeId, Order, StreamId
from flwr_digest.core.messages import Hop, Message, Receipt
from flwr_digest.errors import RemoteProtocolError
from flwr_digest.overlay.assembler import Assembler
from flwr_digest.overlay.bundle import Parcel, bundled, unbundled
from flwr_digest.overlay.fields import Frame, Kind, kind_of
from flwr_digest.overlay.frames import Codec
from flwr_digest.overlay.hello import GOODBYE, refusal, text_of
from flwr_digest.overlay.traffic import Traffic

LOGGER = logging.getLogger("flwr.digest")  # a child of Flower's own, so it shows where that does


@dataclass(eq=False)
class Link:
    """A live link. Made by the dialer or the server once both sides have said hello.

    Attributes
    ----------
    peer : NodeId
        The neighbor at the other end.
    codec : Codec
        Frames of this session.
    traffic : Traffic
        Counts on, over all links to this neighbor.
    secure : bool
        Whether there is TLS below, which counts on the wire.
    goodbye : bool
        Whether one side has left for good.
    refused : bool
        Whether this side ended the link because the neighbor broke the rules.
    ended : Event
        Set once nothing more comes in.
    """

    peer: NodeId
    codec: Codec
    traffic: Traffic
    secure: bool = False
    goodbye: bool = False
    refused: bool = False
    ended: Event = field(default_factory=Event)
    _waiting: set[tuple[StreamId, Order]] = field(default_factory=set)
    _outbox: SimpleQueue[Iterable[bytes] | None] = field(default_factory=SimpleQueue)

    def send(self, message: Message) -> None:
        """Queue a message; it is lost if the link ends first.

        A hop that is sent again while it still waits for its turn is not queued twice: on a slow
        link that would only make all that waits behind it wait longer, and be sent again in turn.
        """
        if not isinstance(message, Hop):
            self._outbox.put(self.codec.encode(message))
            return
        name = message.stream.stream_id, message.stream.order
        frames = self.codec.encode(message)
        if name not in self._waiting:
            self._waiting.add(name)
            self.traffic.hop_sent(*name, time.monotonic())
            self._outbox.put(self._noting(frames, name))

    def _noting(self, frames: Iterator[bytes], name: tuple[StreamId, Order]) -> Iterator[bytes]:
        """Yield the frames of a hop, and note that the last is about to leave.

        Not after it: then the receipt may have come, and gRPC not yet have asked for more.
        """
        last = next(frames)
        for frame in frames:
            yield last
            last = frame
        self._waiting.discard(name)
        yield last

    def leave(self) -> None:
        """Send what is queued, say goodbye, and end."""
        self.goodbye = True
        self._outbox.put([GOODBYE])
        self.end()

    def refuse(self, reason: str) -> None:
        """Tell the neighbor why it loses this link, and end it."""
        LOGGER.debug("link to node %d ended: it sent %s", self.peer, reason)  # the driver tells
        self.refused = True
        self._outbox.put([refusal(reason)])
        self.end()

    def end(self) -> None:
        """Send what is queued, and end."""
        self._outbox.put(None)

    def outgoing(self) -> Iterator[bytes]:
        """Yield gRPC messages as they are to be sent, until the link ends; for gRPC to ask for."""
        for parcel in bundled(self._frames()):
            self.traffic.sent(parcel, secure=self.secure)
            yield parcel.message

    def _frames(self) -> Iterator[bytes | None]:
        """Yield frames as they are queued; None where the next is not there yet."""
        while True:
            if self._outbox.empty():
                yield None
            frames = self._outbox.get()
            if frames is None:
                return
            yield from frames

    def incoming(self, messages: Iterable[bytes], deliver: Callable[[Link, Message], None]) -> str:
        """Take in what gRPC brings until the link ends; return in words why it did."""
        assembler = Assembler(self.codec)
        try:
            for message in messages:
                parcel = Parcel(message, unbundled(message))
                self.traffic.received(parcel, secure=self.secure)
                for frame in parcel.frames:
                    if ending := self._last_word(frame):
                        return ending
                    if (said := assembler.feed(frame)) is not None:
                        self._count(said, assembler)
                        deliver(self, said)
        except RemoteProtocolError as error:
            self.refuse(str(error))
            return f"it broke the protocol: {error}"
        except grpc.RpcError as error:
            return f"the connection broke: {reason_of(error)}"
        finally:
            self.end()
            self.ended.set()
        return "it closed the connection"

    def _last_word(self, frame: Frame) -> str:
        """Return why the neighbor ends the link, if that is what a frame says."""
        kind = kind_of(frame)
        if kind is Kind.GOODBYE:
            self.goodbye = True
            return "it said goodbye"
        if kind is Kind.REFUSAL:
            return f"it refused to go on: {text_of(frame)}"
        return ""

    def _count(self, message: Message, assembler: Assembler) -> None:
        """Note how long things took."""
        match message:
            case Hop():
                self.traffic.stream_came(assembler.seconds)
            case Receipt(stream_id=stream_id, order=order):
                self.traffic.receipt_came(stream_id, order, time.monotonic())


def code_of(error: grpc.RpcError) -> grpc.StatusCode | None:
    """Return gRPC's code of an error; None on the server's side, where the error says nothing."""
    code = getattr(error, "code", None)
    return None if code is None else code()


def reason_of(error: grpc.RpcError) -> str:
    """Return what gRPC says about an error, in one line."""
    code, details = code_of(error), getattr(error, "details", None)
    if code is None or details is None:
        return "the call ended"
    return f"{code.name}: {details()}".replace("\n", " ")
