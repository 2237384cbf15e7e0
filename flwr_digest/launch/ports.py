"""Free TCP ports on this machine."""

from __future__ import annotations

import socket
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Return `count` different TCP ports on which nobody listens right now.

    Another process may take a port before it is used: nothing but the bind itself can reserve one.
    Whoever starts a server on it notices, as its process ends (see `processes.py`).
    """
    with ExitStack() as held:
        # All are held at once, so that no port is handed out twice.
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]
