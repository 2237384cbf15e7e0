"""What happens next: events in the order of time, of equal times the first noted first."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from flwr_digest.errors import LocalProtocolError

Act = Callable[[float], None]
"""What is done, given the time."""


class Agenda:
    """Events to come.

    Attributes
    ----------
    now : float
        The time of the latest event, in seconds.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Act]] = []
        self._noted = 0

    def at(self, time: float, act: Act) -> None:
        """Note an event.

        Raises
        ------
        LocalProtocolError
            Its time is over.
        """
        if time < self.now:
            raise LocalProtocolError(f"an event for {time} s is noted at {self.now} s")
        self._noted += 1
        heappush(self._events, (time, self._noted, act))

    def run_until(self, time: float) -> None:
        """Let everything happen up to a time, this included."""
        events = self._events
        while events and events[0][0] <= time:
            self.now, _, act = heappop(events)
            act(self.now)
        self.now = time
