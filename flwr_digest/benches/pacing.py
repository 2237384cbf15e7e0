"""A link of a given rate and latency between two sockets of this machine."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition, Thread
from types import TracebackType

from flwr_digest.launch.ports import LOOPBACK

PIECE_BYTES = 16_384
"""What the line takes at once: about a millisecond at 100 Mbit/s."""

BUFFER_SECONDS = 0.02
"""What fits into the line's buffer beyond what is under way: a guess at a common router."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A link, the same in both directions.

    Attributes
    ----------
    bytes_per_second : float
        Its rate, above 0.
    latency_seconds : float
        How long a byte takes one way, 0 or more.
    """

    bytes_per_second: float
    latency_seconds: float

    def arrival(self, free_at: float, now: float, size: int) -> tuple[float, float]:
        """Return when the line has taken `size` bytes, and when the last of them arrives.

        Parameters
        ----------
        free_at : float
            When the line has taken all that came before.
        now : float
            When these come. All in seconds of one clock.
        """
        taken = max(free_at, now) + size / self.bytes_per_second
        return taken, taken + self.latency_seconds


class _Direction:
    """One direction of one connection: a thread that takes bytes in, one that gives them out."""

    def __init__(self, line: Line, source: socket.socket, sink: socket.socket) -> None:
        self._line, self._source, self._sink = line, source, sink
        self._changed = Condition()
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._ended = False

    def take_in(self) -> None:
        """Read until the source ends, no faster than the line takes."""
        free_at = 0.0
        with suppress(OSError):
            while data := self._source.recv(PIECE_BYTES):
                now = time.monotonic()
                free_at, arrives = self._line.arrival(free_at, now, len(data))
                with self._changed:
                    self._under_way.append((arrives, data))
                    self._changed.notify()
                if (ahead := free_at - now) > BUFFER_SECONDS:
                    time.sleep(ahead - BUFFER_SECONDS)
        with self._changed:
            self._ended = True
            self._changed.notify()

    def give_out(self) -> None:
        """Write each piece when it arrives, until all have."""
        with suppress(OSError):
            while (piece := self._next()) is not None:
                arrives, data = piece
                if (left := arrives - time.monotonic()) > 0:
                    time.sleep(left)
                self._sink.sendall(data)
        with suppress(OSError):
            self._sink.shutdown(socket.SHUT_RDWR)
        self._source.close()

    def _next(self) -> tuple[float, bytes] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._under_way or self._ended)
            return self._under_way.popleft() if self._under_way else None


class PacedLink:
    """Passes bytes on between whoever dials it and `target`. Use as a context manager.

    Parameters
    ----------
    target : str
        ``host:port`` to dial for each connection.
    line : Line
        What the link is like. All connections have a line of their own: there is one at a time.
    """

    def __init__(self, target: str, line: Line) -> None:
        host, port = target.rsplit(":", 1)
        self._target, self._line = (host, int(port)), line
        self._sockets: list[socket.socket] = []
        self._threads: list[Thread] = []
        self._listener = socket.create_server((LOOPBACK, 0))
        self.address = f"{LOOPBACK}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> PacedLink:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in [self._listener, *self._sockets]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # wakes whoever reads
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _start(self, job: Callable[[], None]) -> None:
        thread = Thread(target=job, name="paced-link", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(self._target)
                except OSError:  # nobody listens yet; whoever dials will try again
                    near.close()
                    continue
                self._sockets += (near, far)
                for source, sink in ((near, far), (far, near)):
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    direction = _Direction(self._line, source, sink)
                    self._start(direction.take_in)
                    self._start(direction.give_out)
