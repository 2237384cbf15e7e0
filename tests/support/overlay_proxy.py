"""A TCP proxy between two nodes: the network's faults at a test's command."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Condition, Thread
from types import TracebackType

from flwr_digest.launch.ports import LOOPBACK
from tests.support.overlay_session import JOIN_SECONDS

_BUFFER_BYTES = 65_536


class Proxy:
    """Passes bytes on between whoever dials it and `target`, until told to cut or to freeze.

    Parameters
    ----------
    target : str
        ``host:port`` to dial for each connection.
    cut_after_bytes : int or None
        Cut the first connection by itself once it has passed on so many bytes.
    passing : callable
        Told how many bytes have come in all, each time before more of them are passed on.
    """

    def __init__(
        self,
        target: str,
        cut_after_bytes: int | None = None,
        passing: Callable[[int], None] = lambda passed: None,
    ) -> None:
        host, port = target.rsplit(":", 1)
        self._target = (host, int(port))
        self._limit = cut_after_bytes
        self._passing = passing
        self._changed = Condition()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[Thread] = []
        self._passed = 0
        self._frozen = False
        self._closed = False
        self.connections = 0
        self._listener = socket.create_server((LOOPBACK, 0))
        self.address = f"{LOOPBACK}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Proxy:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """Drop all connections; new ones are let through."""
        with self._changed:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Drop all connections, and let no more through."""
        with self._changed:
            self._closed, self._frozen = True, False
            self._changed.notify_all()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # ends `accept`
        self._listener.close()
        self.cut()

    def await_connections(self, count: int, seconds: float = JOIN_SECONDS) -> bool:
        """Wait until `count` connections have been made in all; return whether they were."""
        with self._changed:
            return self._changed.wait_for(lambda: self.connections >= count, seconds)

    def freeze(self) -> None:
        """Pass nothing on from now on, and close nothing: as a cable that was pulled."""
        with self._changed:
            self._frozen = True

    def _start(self, job: object, *args: object) -> None:
        assert callable(job)
        thread = Thread(target=job, args=args, name="proxy")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target)
            except OSError:
                near.close()
                continue
            with self._changed:
                self._pairs.append((near, far))
                self.connections += 1
                self._changed.notify_all()
            self._start(self._pump, near, far)
            self._start(self._pump, far, near)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_BUFFER_BYTES):
                with self._changed:
                    self._changed.wait_for(lambda: not self._frozen)
                    self._passed += len(data)
                    self._passing(self._passed)
                    full = self._limit is not None and self._passed > self._limit
                    if full:
                        self._limit = None
                if full:
                    self.cut()
                    break
                sink.sendall(data)
        with self._changed:
            self._changed.wait_for(lambda: not self._frozen)  # nor does an end pass
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        source.close()
