"""Hands the work of a train handler that is called again and again to the overlay, and news back.

The handler gets a copy of the node's model and gives back what it has made of it: the difference is
the displacement of that call. The node's model itself lies here, out of the handler's reach, so a
stream that visits during a call can change it at once, and the displacement comes on top when the
call is over. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition

import numpy as np
import numpy.typing as npt

from flwr_digest.core.ids import ShardId
from flwr_digest.core.layout import Layout
from flwr_digest.core.trainer import Taken
from flwr_digest.core.vector import Vector
from flwr_digest.errors import ConfigError, LocalProtocolError

Flat = npt.NDArray[np.float32]

NEEDS_ATTACH = (
    "drift correction acts at every local step, inside the train handler: it needs "
    "attach(model, optimizer) there, which is for PyTorch, or digest_session; attach, or use "
    "drift_correction=False"
)


@dataclass(slots=True)
class _Shard:
    """One slice of the model, and how many steps of it were taken."""

    place: slice
    taken_steps: int = 0


class CallHandoff:
    """The meeting point of one handler's calls and one overlay: the `Trainer` of the latter.

    Parameters
    ----------
    layout : Layout
        Of the arrays that travel. Arrays named ``...running_var`` are variances, kept >= 0.
    model : array
        The node's model, float32, shape ``[d]``; copied.
    steps_per_call : int
        As how many local steps a call counts.

    Notes
    -----
    The streams' model minus the copy that the handler was given is not lost when it comes in during
    a call: model = streams' model + what was given to no stream yet + (out - in) of the call.
    """

    def __init__(self, layout: Layout, model: Flat, steps_per_call: int = 1) -> None:
        self._changed = Condition()
        self._model = model.copy()
        self._pending = np.zeros_like(model)  # displacement that no `take` has fetched
        self._steps_per_call = steps_per_call
        self._variances = [
            place for entry, place in layout.parts() if entry.name.endswith("running_var")
        ]
        self._shards = [_Shard(slice(None))]
        self._steps = 0
        self._wakes: dict[tuple[int, ShardId], Callable[[], None]] = {}
        self._awaited: set[ShardId] = set()  # a visit of theirs is about to end
        self._failure: BaseException | None = None

    # --- the training thread --------------------------------------------------------------------

    def model(self, patience_seconds: float = 0.0) -> Flat:
        """Return a copy of the node's freshest model, shape ``[d]``.

        Where a stream has waited here for the last call's steps and takes them up just now, wait
        for what that makes of the model, at most `patience_seconds`.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._awaited, patience_seconds)
            self._awaited.clear()
            self._repair()
            return self._model.copy()

    def commit(self, displacement: Flat) -> None:
        """Add what a call of the handler has done, float32, shape ``[d]``; wake who waits for it.

        Raises
        ------
        DigestError
            The overlay has failed; whoever trains must not go on as if nothing were wrong.
        """
        with self._changed:
            self._model += displacement
            self._pending += displacement
            self._steps += self._steps_per_call
            due = self._due()
            self._awaited.update(shard for _, shard in due)
            wakes = [self._wakes.pop(key) for key in due]
        for wake in wakes:
            wake()
        if self._failure is not None:
            raise self._failure

    # --- the overlay's thread -------------------------------------------------------------------

    def divide(self, slices: Sequence[slice], *, drift_correction: bool) -> None:
        """Prepare for a session: `slices` are the shards of the flat vector, in order of id.

        Raises
        ------
        ConfigError
            The session is one with drift correction.
        LocalProtocolError
            There have been calls already.
        """
        if drift_correction:
            raise ConfigError(NEEDS_ATTACH)
        with self._changed:
            if self._steps:
                raise LocalProtocolError(f"divided after {self._steps} local steps")
            self._shards = [_Shard(place) for place in slices]

    def take(self, shard: ShardId) -> Taken | None:
        """Return the shard's steps finished since the last call and their displacement, float32."""
        with self._changed:
            part = self._shards[shard]
            steps = self._steps - part.taken_steps
            if steps == 0:
                return None
            part.taken_steps = self._steps
            moved = self._pending[part.place].copy()
            self._pending[part.place] = 0.0
            return Taken(steps, moved)

    def rebase(self, shard: ShardId, model: Vector, correction: Vector | None) -> None:
        """Go on from `model`, shape ``[d]`` of the shard, with what was not taken yet on top."""
        if correction is not None:
            raise LocalProtocolError("a correction for a handler that is called as a whole")
        with self._changed:
            place = self._shards[shard].place
            if model.shape != self._model[place].shape:
                raise LocalProtocolError(
                    f"rebase of {model.shape} values on {self._model[place].shape}"
                )
            self._model[place] = model + self._pending[place]
            self._awaited.discard(shard)
            self._changed.notify_all()

    def uncorrect(self) -> None:
        """Correct no gradients: there never are corrections here."""

    def wake_after(self, shard: ShardId, steps: int, wake: Callable[[], None]) -> None:
        """Call `wake` once, from the training thread, when the shard's `take` will return `steps`.

        Another wake for the same shard and step replaces it; if the steps were made already, it
        comes at once.
        """
        with self._changed:
            at = self._shards[shard].taken_steps + steps
            if at > self._steps:
                self._wakes[at, shard] = wake
                return
        wake()

    def fail(self, error: BaseException) -> None:
        """Raise `error` in the training thread at the end of its call."""
        with self._changed:
            self._failure = error
            self._awaited.clear()
            self._changed.notify_all()

    # --- under the lock -------------------------------------------------------------------------

    def _due(self) -> list[tuple[int, ShardId]]:
        return [key for key in self._wakes if key[0] <= self._steps]

    def _repair(self) -> None:
        """Raise variances that a sum of displacements has brought below zero; it counts as one."""
        for place in self._variances:
            missing = np.maximum(-self._model[place], 0.0)
            self._model[place] += missing
            self._pending[place] += missing
