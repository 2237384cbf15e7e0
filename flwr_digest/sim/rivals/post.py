"""Links that never lose a message for good, and that know what was sent by when."""

from __future__ import annotations

from heapq import heappop, heappush

from flwr_digest.sim.network import Network


class Post:
    """A network that repeats each message until it arrives.

    Methods are simulated a little ahead of the time that is measured; so what is sent later than
    that must not count yet.

    Parameters
    ----------
    network : Network
        Nothing else may send over it.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._ahead: list[tuple[float, int]] = []
        self._ahead_bytes = 0

    def send(self, sender: int, receiver: int, size_bytes: int, at_seconds: float) -> float:
        """Send a message; return when it arrives. In the order of time for each link."""
        arrival = self._network.send_surely(sender, receiver, size_bytes, at_seconds)
        heappush(self._ahead, (at_seconds, size_bytes))
        self._ahead_bytes += size_bytes
        return arrival

    def is_up(self, one: int, other: int, at_seconds: float) -> bool:
        """Whether there is a link between two nodes that is not down at a time."""
        return self._network.is_up(one, other, at_seconds)

    def bytes_by(self, time: float) -> int:
        """Return what was sent by a time; times must not go back.

        Repeats of lost messages count when they are simulated, about one round too early.
        """
        while self._ahead and self._ahead[0][0] <= time:
            self._ahead_bytes -= heappop(self._ahead)[1]
        return self._network.bytes_sent - self._ahead_bytes
