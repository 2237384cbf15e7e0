"""The side that is dialled: lets neighbors of this session in, and refuses others with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc

from flwr_digest.core.ids import NodeId
from flwr_digest.errors import ConfigError, RemoteProtocolError
from flwr_digest.overlay.channel import (
    HELLO_SECONDS,
    METHOD,
    SERVICE,
    Security,
    at_most,
    keep_freed_memory,
    server_options,
)
from flwr_digest.overlay.hello import LinkHello, refusal
from flwr_digest.overlay.identity import same_certificate
from flwr_digest.overlay.link import LOGGER, Link


@dataclass(frozen=True, kw_only=True)
class Door:
    """What the server asks the session when someone knocks.

    Attributes
    ----------
    me : LinkHello
        How this node introduces itself.
    callers : frozenset of NodeId
        The neighbors that are to dial this node.
    security : Security or None
        None: plaintext.
    make_link : callable
        Returns the link for a neighbor that was let in.
    start_link : callable
        Begins, in a thread of the session, to take in the frames of a link until it ends.
    trouble : callable
        Told in words why a neighbor was refused.
    """

    me: LinkHello
    callers: frozenset[NodeId]
    security: Security | None
    make_link: Callable[[NodeId], Link]
    start_link: Callable[[Link, Iterator[bytes]], None]
    trouble: Callable[[NodeId, str], None]


class Server:
    """A node's gRPC server.

    Raises
    ------
    ConfigError
        The address cannot be listened at.
    """

    def __init__(self, address: str, door: Door) -> None:
        self._door = door
        keep_freed_memory()
        # Each link occupies a worker for life; twice as many and two let a neighbor come back
        # before its old link is found dead. One more than that is an error, not a silent wait.
        workers = 2 * len(door.callers) + 2
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="flwr-digest-server")
        self._server = grpc.server(
            self._pool,
            options=server_options(),
            maximum_concurrent_rpcs=workers,
        )
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(
            self._link
        )
        handlers = grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler})
        self._server.add_generic_rpc_handlers((handlers,))
        try:
            if door.security is None:
                self._server.add_insecure_port(address)
            else:
                self._server.add_secure_port(address, door.security.server_credentials())
        except RuntimeError as error:
            self._server.stop(grace=None)
            self._pool.shutdown(wait=False)
            raise ConfigError(f"cannot listen at {address}: is it in use?") from error
        self._server.start()

    def stop(self, grace_seconds: float) -> None:
        """Let links that are ending end, up to `grace_seconds`, then stop."""
        if self._server.stop(grace=grace_seconds).wait(timeout=grace_seconds + 1):
            self._pool.shutdown(wait=False)
        # Else a call that gRPC has yet to hand to the pool would find it closed, and end gRPC's
        # own thread with the server half stopped; idle workers end with the pool.

    def _link(self, frames: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        caller = context.peer()  # known only while the call lasts
        try:
            peer = self._admit(frames, context)
        except RemoteProtocolError as error:
            LOGGER.error("refused a link from %s: %s", caller, error)
            yield refusal(str(error))
            return
        yield self._door.me.to_frame()
        link = self._door.make_link(peer)
        context.add_callback(link.end)  # or the generator would wait on a dead link for ever
        self._door.start_link(link, frames)
        yield from link.outgoing()

    def _admit(self, frames: Iterator[bytes], context: grpc.ServicerContext) -> NodeId:
        try:
            with at_most(HELLO_SECONDS, context.cancel):
                hello = LinkHello.from_frame(next(frames))
        except (StopIteration, grpc.RpcError) as error:
            raise RemoteProtocolError("it left without a hello") from error
        try:
            self._check_caller(hello, context)
        except RemoteProtocolError as error:
            if hello.node in self._door.callers:
                self._door.trouble(hello.node, f"refused: {error}")
            raise
        return hello.node

    def _check_caller(self, hello: LinkHello, context: grpc.ServicerContext) -> None:
        check_hello(self._door.me, hello)
        if hello.node not in self._door.callers:
            raise RemoteProtocolError(
                f"node {hello.node} has no link to dial node {self._door.me.node} in this plan"
            )
        if self._door.security is not None:
            self._check_certificate(hello.node, context)

    def _check_certificate(self, node: NodeId, context: grpc.ServicerContext) -> None:
        """TLS has let in *a* neighbor; make sure it is the one that it says it is."""
        security = self._door.security
        shown = list(context.auth_context().get("x509_pem_cert", []))
        planned = security.peers[node].certificate.encode() if security else b""
        if not shown or not same_certificate(bytes(shown[0]), planned):
            raise RemoteProtocolError(f"its certificate is not that of node {node} in the plan")


def check_hello(me: LinkHello, other: LinkHello) -> None:
    """Check that two nodes can share streams.

    Raises
    ------
    RemoteProtocolError
        They are in different sessions, or their models have different layouts.
    """
    if other.session != me.session:
        raise RemoteProtocolError(
            f"node {other.node} is in session {other.session}, node {me.node} in {me.session}"
        )
    if other.layout != me.layout:
        raise RemoteProtocolError(
            f"different models: node {other.node} has {other.about}; node {me.node} has {me.about}"
        )
