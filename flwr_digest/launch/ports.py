"""Free TCP ports on this machine."""

from __future__ import annotations

import socket
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Return `count` different TCP ports that for a while only who asks for them by number gets.

    A port that is merely free may go to anyone before it is used: even to a connection, whose own
    end gets any free port. So each has had a connection that ended here: the system then keeps it
    (TIME_WAIT; Linux for 60 s), and gives it to servers only, which set SO_REUSEADDR.
    """
    with ExitStack() as held:
        # All are held at once, so that no port is handed out twice.
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        return [_used_once(each) for each in sockets]


def _used_once(server: socket.socket) -> int:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((LOOPBACK, 0))
    server.listen(1)
    with socket.create_connection(server.getsockname()) as caller:
        accepted, _ = server.accept()
        accepted.close()
        caller.recv(1)  # the port's end has closed first: that one lingers
    return int(server.getsockname()[1])
