"""Hands work from the training loop to the overlay and news back, without either waiting.

The trainer changes the flat vector x only inside an optimizer step. The overlay, in its own thread,
measures how far x has moved from its *base* and, after a visit, posts the stream's model as the
next base; the trainer moves over to it at its next step boundary, with everything it has done
since on top: x = next base + (x - base). So x never changes between forward and backward.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import torch

from flwr_digest.core.trainer import Taken
from flwr_digest.core.vector import Vector
from flwr_digest.errors import LocalProtocolError


class Handoff:
    """The meeting point of one training loop and one overlay: the `Trainer` of the latter.

    Before `bind` there is no training yet: streams may visit all the same, and the loop then
    starts from what they brought.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._vector: torch.Tensor | None = None
        self._repair: Callable[[], None] = lambda: None
        self._base: torch.Tensor | None = None
        self._next_base: Vector | None = None
        self._steps = 0
        self._wake: tuple[int, Callable[[], None]] | None = None
        self._failure: BaseException | None = None
        self._in_step = False

    # --- the training thread --------------------------------------------------------------------

    def bind(self, vector: torch.Tensor, repair: Callable[[], None] = lambda: None) -> None:
        """Begin with the flat vector that the model's parameters are views of, shape ``[d]``.

        `repair` is called after each step and each move to a new base (see `FlatModel.repair`);
        what it changes counts as part of the displacement.
        """
        with self._lock:
            self._vector = vector
            self._repair = repair
            self._base = vector.detach().clone()
            self._move_to_next_base()

    @property
    def bound(self) -> bool:
        """Whether a training loop has begun."""
        return self._vector is not None

    def before_step(self) -> None:
        """Mark the begin of an optimizer step: until `after_step` the vector is the trainer's."""
        self.leave_step()  # the last one may have raised, and the loop gone on with the next batch
        self._lock.acquire()
        self._in_step = True

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
            self._move_to_next_base()
            wake = self._due_wake()
        finally:
            self._in_step = False
            self._lock.release()
        if wake is not None:
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
            self._move_to_next_base()

    # --- the overlay's thread -------------------------------------------------------------------

    def take(self) -> Taken | None:
        """Return the steps finished since the last call and their displacement, float32."""
        with self._lock:
            if self._vector is None or self._base is None or self._steps == 0:
                return None
            moved = self._vector.detach() - self._base
            self._base += moved  # not a copy of the vector: what is given is what is accounted for
            if self._next_base is not None:  # it came after these steps, which are not in it
                self._next_base = self._next_base + moved.cpu().numpy()
            steps, self._steps = self._steps, 0
        return Taken(steps, moved.cpu().numpy())

    def rebase(self, model: Vector) -> None:
        """Let the trainer go on from `model`, shape ``[d]``, at its next step boundary."""
        with self._lock:
            self._next_base = model

    def wake_after(self, steps: int, wake: Callable[[], None]) -> None:
        """Call `wake` from the training thread once `steps` were made since the last `take`."""
        with self._lock:
            self._wake = (steps, wake)
            due = self._due_wake()
        if due is not None:
            due()

    def fail(self, error: BaseException) -> None:
        """Raise `error` in the training thread at the end of its next step."""
        self._failure = error

    # --- under the lock -------------------------------------------------------------------------

    def _move_to_next_base(self) -> None:
        if self._next_base is None or self._vector is None or self._base is None:
            return
        target = torch.tensor(self._next_base, device=self._base.device)  # a copy: now our own
        if target.shape != self._base.shape:
            raise LocalProtocolError(f"rebase of {target.shape} values on {self._base.shape}")
        with torch.no_grad():
            self._vector.sub_(self._base).add_(target)  # exactly `target` if nothing was done since
            self._base = target
            self._repair()
        self._next_base = None

    def _due_wake(self) -> Callable[[], None] | None:
        if self._wake is None or self._steps < self._wake[0]:
            return None
        wake, self._wake = self._wake[1], None
        return wake
