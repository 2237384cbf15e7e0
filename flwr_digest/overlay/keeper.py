"""Keeps a node's state on disk while a session runs, so that a killed process can go on.

The rule (see `StationState`): what a visit has made of a node's accounts is on disk before anyone
hears of it. Then a process that comes back is exact: it goes on under the same accounts. Where
that would cost too much, visits go by unsaved, and the file says so: then whoever comes back opens
new accounts, and loses what no stream had taken up for good.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.state import StationState
from flwr_digest.errors import ConfigError
from flwr_digest.overlay.link import LOGGER
from flwr_digest.overlay.memory import state_arrays
from flwr_digest.overlay.statefile import Arrays, StateFile

SAVE_SHARE = 0.1
"""Most of the time that saving may take, by default. Measured on two busy cores, a save takes
0.2 ms for a model of 40 KB, 1.2 ms for 1.1 MB, 50 - 110 ms for 45 MB: so the first two are saved
at each of 50 visits a second, the last about once a second. A tenth: a guess, a delay that a hop
does not show."""


class Keeper:
    """Saves a node's states to a file during a session. All calls come from the driver's thread.

    Parameters
    ----------
    node_id : NodeId
        For the log.
    file : StateFile
        Where to; it has been saved before.
    rest : mapping of str to array
        What the file has to hold beside the streams; it stays what it is.
    share : float
        Most of the time that saving may take, in [0, 1]. 1: every visit is saved, whatever it
        costs; 0: none is, only what the session begins with.
    clock : callable
        Seconds, never running backwards.

    Attributes
    ----------
    failed_saves : int
        How often the file could not be written.

    Raises
    ------
    ConfigError
        `share` is not in [0, 1].
    """

    def __init__(
        self,
        *,
        node_id: NodeId,
        file: StateFile,
        rest: Arrays | None = None,
        share: float = SAVE_SHARE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node_id, self._file, self._share, self._clock = node_id, file, share, clock
        check_share(share, "share")
        self._arrays: dict[str, Arrays] = {"": {} if rest is None else rest}
        self._unsaved: dict[StreamId, StationState] = {}
        self._due = 0.0
        self._begun = False
        self._trouble_since: float | None = None
        self.failed_saves = self._failed_before = 0

    def begin(self, states: Mapping[StreamId, StationState]) -> None:
        """Begin a session with these states; they are saved in any case, with their lives."""
        self._unsaved.update(states)
        self._save()
        self._due = self._clock()  # that was flushed to the disk: no measure of what is to come

    def keep(self, states: Mapping[StreamId, StationState]) -> None:
        """Take in the states of some streams after a visit, before the others hear of it."""
        self._unsaved.update(states)
        for stream_id in states:  # what is outdated must not take memory
            self._arrays.pop(str(stream_id), None)
        if self._share > 0 and self._clock() >= self._due:
            self._save()
        else:
            self._attempt(self._file.fall_behind)

    def keep_all(self, states: Mapping[StreamId, StationState]) -> None:
        """Save at the end of a session, where there is no room for a new file."""
        self._unsaved.update(states)
        self._save()

    def _save(self) -> None:
        began = self._clock()
        for stream_id, state in self._unsaved.items():
            self._arrays[str(stream_id)] = state_arrays(stream_id, state)
        self._unsaved = {}
        arrays = {name: values for part in self._arrays.values() for name, values in part.items()}
        self._begun = self._begun or self._attempt(self._file.begin)
        if self._begun and self._attempt(lambda: self._file.commit(arrays)):
            self._tell_of_end()
        else:
            self.failed_saves += 1
            self._attempt(self._file.fall_behind)
        ended = self._clock()
        self._due = ended + (ended - began) * (1 / self._share - 1) if self._share else math.inf

    def _attempt(self, write: Callable[[], None]) -> bool:
        """Write, or warn, once; return whether it was written. Training goes on either way."""
        try:
            write()
        except OSError as error:
            if self._trouble_since is None:
                LOGGER.warning(
                    "node %d cannot save its state to %s (%s); training goes on: if it is killed "
                    "now, the work that no stream has taken up is lost",
                    self._node_id, self._file.path, error.strerror or error,
                )  # fmt: skip
                self._trouble_since, self._failed_before = self._clock(), self.failed_saves
            return False
        return True

    def _tell_of_end(self) -> None:
        if self._trouble_since is not None:
            seconds = self._clock() - self._trouble_since
            failed = self.failed_saves - self._failed_before
            LOGGER.warning(
                "node %d: its state is saved again, after %d saves in %.1f s that failed",
                self._node_id, failed, seconds,
            )  # fmt: skip
        self._trouble_since = None


def check_share(share: float, name: str) -> float:
    """Return the share of the time that saving may take, if it is one.

    Raises
    ------
    ConfigError
        It is not in [0, 1].
    """
    if not 0 <= share <= 1:  # refuses NaN, too
        raise ConfigError(f"{name} is {share}: it must be from 0 (never save) to 1 (every visit)")
    return share
