"""Raw TCP: what the machine can do at best, without a protocol, a check or a thread."""

from __future__ import annotations

import socket
import struct
from threading import Thread

import numpy as np
import numpy.typing as npt

from flwr_digest.benches.ends import PATIENCE_SECONDS, Meeting, Way
from flwr_digest.errors import DigestError

SIZE = struct.Struct("<Q")
ACKNOWLEDGED = b"\x01"


class Receiver:
    """Takes each model into one and the same vector, and acknowledges it with a byte."""

    def __init__(self, meeting: Meeting) -> None:
        host, port = meeting.address.rsplit(":", 1)
        self._vector = np.empty(0, dtype=np.float32)
        self._listener = socket.create_server((host, int(port)))
        Thread(target=self._run, name="raw-tcp", daemon=True).start()

    def prepare(self, values: int) -> None:
        """Make the vector once: the best case, without the page faults of a new one."""
        self._vector = np.zeros(values, dtype=np.float32)

    def hop(self) -> None:
        """Not this end's."""

    def close(self) -> None:
        """Stop listening; the connection ends with the sender's."""
        self._listener.close()

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while header := connection.recv(SIZE.size, socket.MSG_WAITALL):
                self._fill(connection, SIZE.unpack(header)[0])
                connection.sendall(ACKNOWLEDGED)

    def _fill(self, connection: socket.socket, size: int) -> None:
        target = self._vector.data.cast("B")
        filled = 0
        while filled < size:
            filled += connection.recv_into(target[filled:])


class Sender:
    """Sends a model, and waits for the byte that acknowledges it."""

    def __init__(self, meeting: Meeting) -> None:
        host, port = meeting.address.rsplit(":", 1)
        self._vector: npt.NDArray[np.float32] = np.empty(0, dtype=np.float32)
        self._socket = socket.create_connection((host, int(port)), PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def prepare(self, values: int) -> None:
        """Make the model."""
        self._vector = np.ones(values, dtype=np.float32)

    def hop(self) -> None:
        """Send the model and await the acknowledgement."""
        data = self._vector.data.cast("B")
        self._socket.sendall(SIZE.pack(len(data)))
        self._socket.sendall(data)
        if self._socket.recv(1) != ACKNOWLEDGED:
            raise DigestError("the connection ended")

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


RAW_TCP = Way(name="raw TCP", receive=Receiver, send=Sender)
