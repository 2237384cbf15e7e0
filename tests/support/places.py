"""Places to listen at that nobody else can take while a test runs."""

from __future__ import annotations

import socket
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flwr_digest.launch.ports import LOOPBACK

_SHORT = Path("/tmp")


@contextmanager
def socket_folder() -> Iterator[Path]:
    """A folder with a short name: a unix socket's path has at most 107 bytes (103 on macOS)."""
    where = _SHORT if _SHORT.is_dir() else None  # TMPDIR may be long
    with tempfile.TemporaryDirectory(prefix="dig", dir=where) as name:
        yield Path(name)


def reserved_ports(owner: object, count: int) -> list[int]:
    """Return TCP ports that only whoever asks for them by number can take, while `owner` lives.

    A free port may be taken by anyone before it is used: even by a connection, whose own end gets
    any port that is free. Here each is held by a socket that is bound and does not listen. As both
    set SO_REUSEADDR, a server may listen there all the same; until one does, it is as if nobody
    were there.
    """
    held = [_bound() for _ in range(count)]
    weakref.finalize(owner, _close, held)
    return [int(each.getsockname()[1]) for each in held]


def _bound() -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((LOOPBACK, 0))
    return one


def _close(held: Iterable[socket.socket]) -> None:
    for each in held:
        each.close()
