"""The side that dials: patient, one link at a time, and able to say what keeps it from linking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event

import grpc

from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import Peer
from flwr_digest.errors import RemoteProtocolError
from flwr_digest.overlay.channel import (
    CONNECT_SECONDS,
    HELLO_SECONDS,
    METHOD,
    SERVICE,
    Security,
    at_most,
    open_channel,
)
from flwr_digest.overlay.diagnose import diagnose
from flwr_digest.overlay.hello import LinkHello
from flwr_digest.overlay.link import Link, code_of, reason_of
from flwr_digest.overlay.server import check_hello

FIRST_PAUSE_SECONDS = 0.1  # a neighbor that starts a moment later should not cost a second
LONGEST_PAUSE_SECONDS = 5.0  # a guess: a neighbor that comes back is found within this
LAST_WORDS_SECONDS = 1.0  # for a neighbor to read why it has lost the link


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
    _call: grpc.Call | None = None
    _linked: bool = False

    def run(self) -> None:
        """Dial, and dial again when a link has ended."""
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            link = self._attempt()
            if link is not None and link.goodbye:
                return
            good = link is not None and not link.refused
            pause = FIRST_PAUSE_SECONDS if good else min(pause * 2, LONGEST_PAUSE_SECONDS)
            self._stopping.wait(pause)

    def stop(self) -> None:
        """Stop dialling; a link that is up ends by itself."""
        self._stopping.set()
        if not self._linked:
            self.cut()

    def cut(self) -> None:
        """End the call that is under way, if there is one, whatever the neighbor does."""
        if self._call is not None:
            self._call.cancel()

    def _attempt(self) -> Link | None:
        """Try once; return the link that came about, after its end."""
        with open_channel(self.peer, self.at.address, self.security) as channel:
            link = self.make_link(self.peer)
            method: grpc.StreamStreamMultiCallable[bytes, bytes]
            method = channel.stream_stream(f"/{SERVICE}/{METHOD}")
            self._call = call = method(self._frames(link))
            if self._stopping.is_set():
                call.cancel()
            try:
                self._check_answer(call)
            except RemoteProtocolError as error:
                link.end()
                if not self._stopping.is_set():  # else it was `stop` that ended the call
                    self.trouble(self.peer, str(error))
                return None
            self._linked = True
            self.trouble(self.peer, "")
            self.run_link(link, call)
            self._linked = False
            with at_most(LAST_WORDS_SECONDS, call.cancel), suppress(grpc.RpcError):
                list(call)  # until the neighbor has read our last words and ends the call
            return link

    def _frames(self, link: Link) -> Iterator[bytes]:
        yield self.me.to_frame()
        yield from link.outgoing()

    def _check_answer(self, call: Iterator[bytes]) -> None:
        try:
            with at_most(HELLO_SECONDS + CONNECT_SECONDS, self.cut):
                hello = LinkHello.from_frame(next(call))
        except StopIteration as error:
            raise RemoteProtocolError("it ended the call without a hello") from error
        except grpc.RpcError as error:
            raise RemoteProtocolError(self._why(error)) from error
        check_hello(self.me, hello)
        if hello.node != self.peer:
            raise RemoteProtocolError(f"it is node {hello.node}, not node {self.peer}")

    def _why(self, error: grpc.RpcError) -> str:
        """Say in words why a call failed before the neighbor's hello."""
        match code_of(error):
            case grpc.StatusCode.UNAVAILABLE if not self._stopping.is_set():
                found = diagnose(self.peer, self.at, insecure=self.security is None)
                return found or f"it listens, but the call failed{self._hint()}: {reason_of(error)}"
            case grpc.StatusCode.CANCELLED:
                return "it accepts connections but does not say hello"
            case _:
                return f"the call failed: {reason_of(error)}"

    def _hint(self) -> str:
        """Return what may be wrong where all is well with the neighbor's own certificate."""
        if self.security is None:
            return ""
        return " (has it another certificate of this node, or one that has expired?)"
