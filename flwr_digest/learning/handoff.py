"""Hands work from the training loop to the overlay and news back, without either waiting.

The trainer changes the flat vector x only inside an optimizer step. The overlay, in its own thread,
measures how far a shard of x has moved from its *base* and, after a visit, posts the stream's model
as the next base; the trainer moves over to it at its next step boundary, with everything it has
done since on top: x = next base + (x - base). So x never changes between forward and backward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch

from flwr_digest.core.ids import ShardId
from flwr_digest.core.trainer import Taken
from flwr_digest.core.vector import Vector
from flwr_digest.errors import LocalProtocolError
from flwr_digest.learning.drift import DriftCorrection
from flwr_digest.learning.flat import Echo, room_like


@dataclass(slots=True)
class _Shard:
    """One slice of the vector, how many steps of it were taken, and the base that it will have."""

    place: slice
    next_base: torch.Tensor | None = None
    taken_steps: int = 0


class Handoff:
    """The meeting point of one training loop and one overlay: the `Trainer` of the latter.

    Before `bind` there is no training yet: streams may visit all the same, and the loop then
    starts from what they brought. Without `divide` the whole vector is shard 0.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._vector: torch.Tensor | None = None
        self._base: torch.Tensor | None = None
        self._repair: Callable[[], None] = lambda: None
        self._echoes: Sequence[Echo] = ()
        self._shards = [_Shard(slice(None))]
        self._moving: dict[int, _Shard] = {}  # those with a next base
        self._drift: DriftCorrection | None = None
        self._drift_correction = False
        self._steps = 0
        self._wakes: dict[tuple[int, ShardId], Callable[[], None]] = {}
        self._failure: BaseException | None = None
        self._in_step = False

    @property
    def bound(self) -> bool:
        """Whether a training loop has begun."""
        return self._vector is not None

    @property
    def drift_correction(self) -> bool:
        """Whether this session corrects gradients; known after `divide`."""
        return self._drift_correction

    # --- the training thread --------------------------------------------------------------------

    def bind(
        self,
        vector: torch.Tensor,
        repair: Callable[[], None] = lambda: None,
        echoes: Sequence[Echo] = (),
    ) -> None:
        """Begin with the flat vector that the model's parameters are views of, shape ``[d]``.

        `repair` is called after each step and each move to a new base (see `FlatModel.repair`);
        what it changes counts as part of the displacement. But an echo that follows its home to
        another base has not moved: both may be in different shards (see `FlatModel.echoes`).
        """
        with self._lock:
            self._vector = vector.detach()
            self._repair = repair
            self._echoes = echoes
            self._begin()
            self._move()

    def before_step(self, parameters: Iterable[torch.Tensor] = ()) -> None:
        """Mark the begin of an optimizer step: until `after_step` the vector is the trainer's.

        With drift correction the gradients of `parameters`, views of the vector, are noted and
        corrected in place.
        """
        self.leave_step()  # the last one may have raised, and the loop gone on with the next batch
        self._lock.acquire()
        self._in_step = True
        if self._drift is not None:
            self._drift.before_step(parameters)

    def after_step(self) -> None:
        """Mark the end of an optimizer step, and take in what has come since the last.

        Raises
        ------
        DigestError
            The overlay has failed; whoever trains must not go on as if nothing were wrong.
        """
        try:
            self._steps += 1
            self._repair()
            self._move()
            due = self._due_wakes()
        finally:
            self._in_step = False
            self._lock.release()
        for wake in due:
            wake()
        if self._failure is not None:
            raise self._failure

    def leave_step(self) -> None:
        """Give the vector free if a step was left by an exception. From the training thread."""
        if self._in_step:
            self._in_step = False
            self._lock.release()

    def settle(self) -> None:
        """Take in what has come since the last step. From the training thread, between steps."""
        with self._lock:
            self._move()

    # --- the overlay's thread -------------------------------------------------------------------

    def divide(self, slices: Sequence[slice], *, drift_correction: bool) -> None:
        """Prepare for a session: `slices` are the shards of the flat vector, in order of id.

        Raises
        ------
        LocalProtocolError
            There have been local steps already.
        """
        with self._lock:
            if self._steps:
                raise LocalProtocolError(f"divided after {self._steps} local steps")
            self._shards = [_Shard(place) for place in slices]
            self._moving = {}
            self._drift_correction = drift_correction
            self._begin()

    def take(self, shard: ShardId) -> Taken | None:
        """Return the shard's steps finished since the last call and their displacement, float32.

        With drift correction also the sum of their gradients as they were before it.
        """
        gradients = None
        with self._lock:
            part = self._shards[shard]
            steps = self._steps - part.taken_steps
            if self._vector is None or self._base is None or steps == 0:
                return None
            part.taken_steps = self._steps
            now, base = self._vector[part.place], self._base[part.place]
            moved = torch.sub(now, base, out=room_like(now))
            base += moved  # no copy of the vector: what is given is accounted for
            if part.next_base is not None:  # it came after these steps, which are not in it
                part.next_base = part.next_base + moved  # not in place: see `_uploaded`
            if self._drift is not None:
                gradients = self._drift.take(part.place)
        # Only now, without the lock: on a GPU this waits for the steps that are still under way.
        summed = None if gradients is None else gradients.cpu().numpy()
        return Taken(steps, moved.cpu().numpy(), summed)

    def rebase(self, shard: ShardId, model: Vector, correction: Vector | None) -> None:
        """Let the trainer go on from `model`, shape ``[d]`` of the shard, at its step boundary.

        `correction` is added to the gradients from the next step on; None leaves it as it is.
        """
        next_base = self._uploaded(model)
        new = None if correction is None else self._uploaded(correction)
        with self._lock:
            part = self._shards[shard]
            part.next_base = next_base
            self._moving[shard] = part
            if new is None:
                return
            if self._drift is None:  # own gradients are known before there is a correction
                raise LocalProtocolError(
                    "a correction before the first step, or without the plan's"
                )
            self._drift.renew(part.place, new)

    def uncorrect(self) -> None:
        """Correct no gradients, of all shards at once, from the next step on."""
        with self._lock:
            if self._drift is not None:
                self._drift.stop()

    def wake_after(self, shard: ShardId, steps: int, wake: Callable[[], None]) -> None:
        """Call `wake` once, from the training thread, when the shard's `take` will return `steps`.

        Steps are counted from the shard's last `take` before this call. Another wake for the same
        shard and step replaces it; if the steps were made already, it comes at once.
        """
        with self._lock:
            self._wakes[self._shards[shard].taken_steps + steps, shard] = wake
            due = self._due_wakes()
        for call in due:
            call()

    def fail(self, error: BaseException) -> None:
        """Raise `error` in the training thread at the end of its next step."""
        self._failure = error

    def _uploaded(self, values: Vector) -> torch.Tensor:
        """Return values on the model's device; waits for nothing that runs there.

        On a CPU they are the given ones themselves: nobody changes them in place, here or there.
        """
        device = torch.device("cpu") if self._vector is None else self._vector.device
        if device.type == "cpu" and values.dtype == np.float32 and values.flags.writeable:
            return torch.from_numpy(values)  # of what is read-only, torch would complain
        pinned = device.type == "cuda"
        host = torch.empty(values.shape, dtype=torch.float32, pin_memory=pinned)
        host.numpy()[...] = values
        return host.to(device, non_blocking=pinned)

    # --- under the lock -------------------------------------------------------------------------

    def _begin(self) -> None:
        """Note where the training begins, once the vector is known."""
        if self._vector is not None:
            self._base = self._vector.clone()
            self._drift = DriftCorrection(self._vector) if self._drift_correction else None

    def _move(self) -> None:
        """Move over to the next bases."""
        if self._vector is None or self._base is None or not self._moving:
            return
        for part in self._moving.values():
            if part.next_base is not None:
                _move(self._vector[part.place], self._base[part.place], part.next_base)
            part.next_base = None
        for echo, home in self._echoes:
            self._base[echo] += self._vector[home] - self._vector[echo]
        self._repair()
        self._moving = {}

    def _due_wakes(self) -> list[Callable[[], None]]:
        if not self._wakes:
            return []
        due = [key for key in self._wakes if key[0] <= self._steps]
        return [self._wakes.pop(key) for key in due]


def _move(here: torch.Tensor, base: torch.Tensor, target: torch.Tensor) -> None:
    """Move a shard in place to what was done since `base`, on top of `target`."""
    if target.shape != base.shape:
        raise LocalProtocolError(f"rebase of {target.shape} values on {base.shape}")
    target = target.to(base.device)  # it may have come before anybody knew the device
    here.sub_(base).add_(target)  # exactly `target` if nothing was done since
    base.copy_(target)
