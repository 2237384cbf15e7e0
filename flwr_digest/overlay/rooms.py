"""Room for what arrives, used again once nobody needs what was in it.

A node has room for a model made for each hop, and is done with it after the visit. The system
clears fresh memory page by page, which takes a fifth of a hop and 0.3 s of processor time a GB
(measured at 45 MB).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from sys import getrefcount
from threading import Lock

import numpy as np
import numpy.typing as npt

Room = npt.NDArray[np.uint8]

MOST_ROOMS = 4
"""How many are remembered: a guess. One is filled while a visit settles the last; more streams
that arrive at once are shards, each with a part of the model."""


class Rooms:
    """Rooms of one session, of its largest size each. Any thread may ask for one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._rooms: deque[Room] = deque(maxlen=MOST_ROOMS)

    def of(self, size: int) -> Room:
        """Return `size` bytes that nobody else has; what is in them is arbitrary.

        They are somebody's as long as that array or any view of it is referred to, which NumPy and
        torch do for all that they make of it.
        """
        with self._lock:
            for number in range(len(self._rooms)):
                if self._rooms[number].size >= size and _references(self._rooms, number) == ALONE:
                    return self._rooms[number][:size]
            room = np.empty(max([size, *(known.size for known in self._rooms)]), dtype=np.uint8)
            self._rooms.append(room)
            return room[:size]


def _references(rooms: Sequence[Room], number: int) -> int:
    return getrefcount(rooms[number])


ALONE = _references(deque([np.empty(0, dtype=np.uint8)]), 0)
"""What is counted where only the rooms themselves refer to one."""
