"""One live link to one neighbor: frames out, frames in, and what they weighed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event

import grpc

from flwr_digest.core.ids import NodeId
from flwr_digest.core.messages import Message
from flwr_digest.errors import RemoteProtocolError
from flwr_digest.overlay.assembler import Assembler
from flwr_digest.overlay.fields import Kind, kind_of
from flwr_digest.overlay.frames import Codec
from flwr_digest.overlay.hello import GOODBYE, refusal, text_of

LOGGER = logging.getLogger("flwr.digest")  # a child of Flower's own, so it shows where that does


@dataclass(kw_only=True, slots=True)
class Traffic:
    """What has gone over the links to one neighbor in this session.

    Payload is the models' own bytes; control is every other byte of every frame. What gRPC, TLS
    and TCP add on the wire is not counted here.
    """

    payload_bytes_sent: int = 0
    control_bytes_sent: int = 0
    payload_bytes_received: int = 0
    control_bytes_received: int = 0
    frames_sent: int = 0
    frames_received: int = 0

    def sent(self, frame: bytes) -> None:
        """Count a frame that goes out."""
        payload = len(frame) - 1 if frame[0] == Kind.CHUNK else 0
        self.payload_bytes_sent += payload
        self.control_bytes_sent += len(frame) - payload
        self.frames_sent += 1

    def received(self, frame: bytes) -> None:
        """Count a frame that has come in."""
        payload = len(frame) - 1 if frame[:1] == bytes([Kind.CHUNK]) else 0
        self.payload_bytes_received += payload
        self.control_bytes_received += len(frame) - payload
        self.frames_received += 1


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
    goodbye: bool = False
    refused: bool = False
    ended: Event = field(default_factory=Event)
    _outbox: SimpleQueue[Iterable[bytes] | None] = field(default_factory=SimpleQueue)

    def send(self, message: Message) -> None:
        """Queue a message; it is lost if the link ends first."""
        self._outbox.put(self.codec.encode(message))

    def leave(self) -> None:
        """Send what is queued, say goodbye, and end."""
        self.goodbye = True
        self._outbox.put([GOODBYE])
        self.end()

    def refuse(self, reason: str) -> None:
        """Tell the neighbor why it loses this link, and end it."""
        LOGGER.error("link to node %d ended: it sent %s", self.peer, reason)
        self.refused = True
        self._outbox.put([refusal(reason)])
        self.end()

    def end(self) -> None:
        """Send what is queued, and end."""
        self._outbox.put(None)

    def outgoing(self) -> Iterator[bytes]:
        """Yield frames as they are to be sent, until the link ends. For gRPC to iterate over."""
        while (frames := self._outbox.get()) is not None:
            for frame in frames:
                self.traffic.sent(frame)
                yield frame

    def incoming(self, frames: Iterable[bytes], deliver: Callable[[Link, Message], None]) -> str:
        """Take frames in until the link ends; return in words why it did."""
        assembler = Assembler(self.codec)
        try:
            for frame in frames:
                self.traffic.received(frame)
                kind = kind_of(frame)
                if kind is Kind.GOODBYE:
                    self.goodbye = True
                    return "it said goodbye"
                if kind is Kind.REFUSAL:
                    return f"it refused to go on: {text_of(frame)}"
                if (message := assembler.feed(frame)) is not None:
                    deliver(self, message)
        except RemoteProtocolError as error:
            self.refuse(str(error))
            return f"it broke the protocol: {error}"
        except grpc.RpcError as error:
            return f"the connection broke: {reason_of(error)}"
        finally:
            self.end()
            self.ended.set()
        return "it closed the connection"


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
