"""How this overlay uses gRPC: the one method, the options, and the credentials."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer

import grpc
import numpy as np

from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import Peer
from flwr_digest.overlay.identity import Identity, name_of

SERVICE = "flwr_digest.Overlay"
METHOD = "Link"

CONNECT_SECONDS = 5.0  # one attempt; a TLS handshake over a slow link takes 1 - 2 s
HELLO_SECONDS = 5.0  # a guess: for one small frame, from a peer that is busy

_MOST_MESSAGE_BYTES = 8 << 20  # a chunk and its header with room to spare; more is refused
_COMMON = [
    ("grpc.max_receive_message_length", _MOST_MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MOST_MESSAGE_BYTES),
    ("grpc.http2.max_frame_size", 1 << 20),  # measured: fewer, larger frames for 1 MB chunks
    ("grpc.http2.write_buffer_size", 4 << 20),
    # A frozen peer is noticed only with all three of these (measured); keepalive_timeout alone
    # does nothing.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]
_SERVER = [
    *_COMMON,
    ("grpc.so_reuseport", 0),  # else two servers share a port in silence
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
]
_CLIENT = [
    *_COMMON,
    # Despite its name: how long one attempt to connect may take. Pauses are the dialer's.
    ("grpc.min_reconnect_backoff_ms", int(CONNECT_SECONDS * 1000)),
    ("grpc.enable_http_proxy", 0),  # peers are dialled directly, whatever the environment says
]


_FREED_BYTES = 31 << 20  # below the 32 MB up to which glibc takes the hint


def keep_freed_memory() -> None:
    """Let the C library keep the buffers of a megabyte that gRPC frees, for the next chunk.

    glibc gives large blocks back to the system, and the system clears them anew for each chunk:
    160,000 page faults a GB at the receiver, 12,000 after this (measured at 45 MB, with a third of
    the processor time). It stops doing so for blocks below the largest that was ever freed (see
    mallopt(3), M_MMAP_THRESHOLD), so one is freed here, untouched and hence never there. At most
    twice that may then stay with the process. Elsewhere it does nothing.
    """
    np.empty(_FREED_BYTES, dtype=np.uint8)


def server_options() -> list[tuple[str, int]]:
    """Return the options of a node's gRPC server."""
    return list(_SERVER)


@dataclass(frozen=True, kw_only=True)
class Security:
    """Mutual TLS between neighbors; None in its place means plaintext, because the user said so.

    Attributes
    ----------
    identity : Identity
        This node's own.
    peers : mapping of NodeId to Peer
        The neighbors, with their certificates: the only ones that are trusted.
    """

    identity: Identity
    peers: Mapping[NodeId, Peer]

    def server_credentials(self) -> grpc.ServerCredentials:
        """Return credentials that let the neighbors in, and nobody else."""
        roots = "".join(peer.certificate for peer in self.peers.values()).encode()
        pair = (self.identity.key, self.identity.certificate)
        return grpc.ssl_server_credentials([pair], roots, require_client_auth=True)

    def channel_credentials(self, peer: NodeId) -> grpc.ChannelCredentials:
        """Return credentials that accept that one neighbor's certificate, and no other."""
        return grpc.ssl_channel_credentials(
            root_certificates=self.peers[peer].certificate.encode(),
            private_key=self.identity.key,
            certificate_chain=self.identity.certificate,
        )


@contextmanager
def at_most(seconds: float, cancel: Callable[[], object]) -> Iterator[None]:
    """Cancel a call if what is done with it here takes longer.

    A deadline of gRPC's own would end the whole call, and a link is one call for life.
    """
    watch = Timer(seconds, cancel)
    watch.name = "flwr-digest-watch"
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def open_channel(peer: NodeId, address: str, security: Security | None) -> grpc.Channel:
    """Return a channel to a neighbor; nothing is dialled before the first call."""
    keep_freed_memory()
    if security is None:
        return grpc.insecure_channel(address, options=_CLIENT)
    options = [*_CLIENT, ("grpc.ssl_target_name_override", name_of(peer))]
    return grpc.secure_channel(address, security.channel_credentials(peer), options=options)
