"""Peers that say whatever a test wants: gRPC clients and servers without the overlay's manners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event

import grpc

from flwr_digest.overlay.bundle import unbundled
from flwr_digest.overlay.channel import METHOD, SERVICE
from tests.support.overlay_session import LONGEST_SECONDS

CALL_SECONDS = 2 * LONGEST_SECONDS  # a call that lasts longer hangs

Behavior = Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]


def call(address: str, frames: Iterator[bytes]) -> list[bytes]:
    """Dial a node in plaintext, send frames, and return what it says until it ends the call."""
    with grpc.insecure_channel(address) as channel:
        method: grpc.StreamStreamMultiCallable[bytes, bytes]
        method = channel.stream_stream(f"/{SERVICE}/{METHOD}")
        messages = method(frames, timeout=CALL_SECONDS, wait_for_ready=True)
        return [bytes(frame) for message in messages for frame in unbundled(message)]


@contextmanager
def serving(address: str, behavior: Behavior) -> Iterator[None]:
    """Listen at `address` in plaintext, and answer each call with `behavior`."""
    with ThreadPoolExecutor(4, thread_name_prefix="raw-server") as pool:
        server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
        handler: grpc.RpcMethodHandler[bytes, bytes]
        handler = grpc.stream_stream_rpc_method_handler(behavior)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),)
        )
        server.add_insecure_port(address)
        server.start()
        try:
            yield
        finally:
            server.stop(grace=None).wait()


def stay_silent(frames: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    """Take in what comes until the caller ends the call, and never say a word."""
    with suppress(grpc.RpcError):
        for _ in frames:
            pass
    ended = Event()
    if context.add_callback(ended.set):
        ended.wait(CALL_SECONDS)
    yield from ()
