"""What a node finds again of what it knew, after it was killed: as a state file has it."""

from __future__ import annotations

from collections.abc import Mapping

from flwr_digest.core.ids import StreamId
from flwr_digest.core.state import StationState, reopened


class Memory:
    """A node's states as they were when it last saved them: at each visit, if it can.

    Attributes
    ----------
    full : bool
        Whether nothing can be saved now.
    """

    def __init__(self) -> None:
        self.full = False
        self._states: dict[StreamId, StationState] = {}
        self._unsaved: dict[StreamId, StationState] = {}

    def begin(self, states: Mapping[StreamId, StationState]) -> None:
        """Save what a session begins with."""
        self._states, self._unsaved = dict(states), {}

    def keep(self, states: Mapping[StreamId, StationState]) -> None:
        """Save the states of some streams, and all that could not be saved before."""
        self._unsaved.update(states)
        if not self.full:
            self._states.update(self._unsaved)
            self._unsaved = {}

    def recalled(self, life: int) -> dict[StreamId, StationState]:
        """Return the states with which a node goes on that was killed.

        Where it has done more than it could save, each account is opened anew, under `life`.
        """
        if not self._unsaved:
            return dict(self._states)
        return {stream_id: reopened(state, life) for stream_id, state in self._states.items()}
