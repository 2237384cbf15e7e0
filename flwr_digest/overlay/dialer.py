"""The side that dials: patient, one link at a time, and able to say what keeps it from linking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event

import grpc

from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import Peer
from flwr_digest.errors import RemoteProtocolError
from flwr_digest.overlay.channel import METHOD, SERVICE, Security, open_channel
from flwr_digest.overlay.diagnose import diagnose
from flwr_digest.overlay.frames import LinkHello
from flwr_digest.overlay.link import Link, reason_of
from flwr_digest.overlay.server import check_hello

FIRST_PAUSE_SECONDS = 0.1  # a neighbor that starts a moment later should not cost a second
LONGEST_PAUSE_SECONDS = 5.0  # a guess: a neighbor that comes back is found within this
CONNECT_SECONDS = 5.0  # one attempt; a TLS handshake over a slow link takes 1 - 2 s


@dataclass(kw_only=True)
class Dialer:
    """Dials one neighbor until it is stopped or the neighbor says goodbye.

    Attributes
    ----------
    me : LinkHello
        How this node introduces itself.
    peer : NodeId
        Whom to dial.
    at : Peer
        Where, and with which certificate to expect.
    security : Security or None
        None: plaintext.
    make_link : callable
        Returns the link for the neighbor.
    run_link : callable
        Takes in the frames of a link; returns when it has ended.
    trouble : callable
        Told in words what keeps this side from linking; empty when it has linked.
    """

    me: LinkHello
    peer: NodeId
    at: Peer
    security: Security | None
    make_link: Callable[[NodeId], Link]
    run_link: Callable[[Link, Iterator[bytes]], None]
    trouble: Callable[[NodeId, str], None]
    _stopping: Event = field(default_factory=Event)
    _ready: grpc.Future[None] | None = None

    def run(self) -> None:
        """Dial, and dial again when a link has ended."""
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            linked, goodbye = self._attempt()
            if goodbye:
                return
            pause = FIRST_PAUSE_SECONDS if linked else min(pause * 2, LONGEST_PAUSE_SECONDS)
            self._stopping.wait(pause)

    def stop(self) -> None:
        """Stop dialling; a link that is up ends by itself."""
        self._stopping.set()
        if self._ready is not None:
            self._ready.cancel()

    def _attempt(self) -> tuple[bool, bool]:
        """Try once; return whether a link came about, and whether the peer has left for good."""
        with open_channel(self.peer, self.at.address, self.security) as channel:
            if not self._connected(channel):
                return False, False
            link = self.make_link(self.peer)
            method: grpc.StreamStreamMultiCallable[bytes, bytes]
            method = channel.stream_stream(f"/{SERVICE}/{METHOD}")
            call = method(self._frames(link))
            try:
                self._check_answer(call)
            except RemoteProtocolError as error:
                self.trouble(self.peer, str(error))
                link.end()
                return False, False
            self.trouble(self.peer, "")
            self.run_link(link, call)
            return True, link.goodbye

    def _connected(self, channel: grpc.Channel) -> bool:
        self._ready = grpc.channel_ready_future(channel)
        if self._stopping.is_set():
            self._ready.cancel()
        try:
            self._ready.result(timeout=CONNECT_SECONDS)
        except grpc.FutureCancelledError:
            return False
        except grpc.FutureTimeoutError:
            insecure = self.security is None
            self.trouble(self.peer, diagnose(self.peer, self.at, insecure=insecure))
            return False
        return True

    def _frames(self, link: Link) -> Iterator[bytes]:
        yield self.me.to_frame()
        yield from link.outgoing()

    def _check_answer(self, call: Iterator[bytes]) -> None:
        try:
            hello = LinkHello.from_frame(next(call))
        except StopIteration as error:
            raise RemoteProtocolError("it ended the call without a hello") from error
        except grpc.RpcError as error:
            raise RemoteProtocolError(f"the call failed: {reason_of(error)}") from error
        check_hello(self.me, hello)
        if hello.node != self.peer:
            raise RemoteProtocolError(f"it is node {hello.node}, not node {self.peer}")
