"""A neighbor that sends a stream back in a steady beat: so many visits a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition, Thread

import numpy as np

from flwr_digest.benches.sessions import bench_session
from flwr_digest.benches.workers import Order
from flwr_digest.core.ids import NodeId, ShardId
from flwr_digest.core.layout import Layout
from flwr_digest.core.trainer import Taken
from flwr_digest.core.vector import Vector

TRAINEE, METRONOME = NodeId(0), NodeId(1)
LATE_SECONDS = 0.1  # beats that were missed are made up for, unless they are older: a guess
STEPS = 10_000
"""That a beat stands for. More than anybody makes in one, as a stream does not wait at nodes that
are slower than most; and so few that an hour of beats stays below what a visit may tell."""
GRAPH = {TRAINEE: frozenset({METRONOME}), METRONOME: frozenset({TRAINEE})}


@dataclass(frozen=True, kw_only=True, slots=True)
class Couple:
    """What both nodes know: their addresses, by id, and the model's layout."""

    addresses: tuple[str, str]
    layout: Layout


class Beat:
    """Makes its steps at each beat, if a stream waits for them; the pace does the rest.

    It has made some as it begins: whoever has made none does not hold a stream for long.
    """

    def __init__(self, values: int) -> None:
        self._moved = np.full(values, 1e-9, dtype=np.float32)
        self._changed = Condition()
        self._rate = 0.0
        self._closed = False
        self._made = True
        self._wake: Callable[[], None] | None = None
        self._thread = Thread(target=self._run, name="metronome", daemon=True)
        self._thread.start()

    def set(self, beats_per_second: float) -> None:
        """Change the beat; 0: the stream stays here."""
        with self._changed:
            self._rate = beats_per_second
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        at = time.monotonic()
        while (wake := self._beat(at)) is not None:
            wake()
            at = max(at, time.monotonic() - LATE_SECONDS)
            with self._changed:
                at = at + 1 / self._rate if self._rate else time.monotonic()

    def _beat(self, at: float) -> Callable[[], None] | None:
        """Wait for the next beat and a stream; return what wakes it, None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed, max(0.0, at - time.monotonic()))
            self._changed.wait_for(lambda: self._closed or (self._rate and self._wake))
            if self._closed:
                return None
            wake, self._wake, self._made = self._wake, None, True
            return wake

    # --- the trainer of the overlay -------------------------------------------------------------

    def divide(self, slices: Sequence[slice], *, drift_correction: bool) -> None:
        """There is one shard."""

    def take(self, shard: ShardId) -> Taken | None:
        """Return the steps of the last beat, once."""
        with self._changed:
            made, self._made = self._made, False
        return Taken(STEPS, self._moved) if made else None

    def rebase(self, shard: ShardId, model: Vector, correction: Vector | None) -> None:
        """There is no model here."""

    def uncorrect(self) -> None:
        """There are no corrections."""

    def wake_after(self, shard: ShardId, steps: int, wake: Callable[[], None]) -> None:
        """Let the stream wait for the next beat."""
        with self._changed:
            self._wake = wake
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Nobody trains here."""


class Metronome:
    """The neighbor as a process."""

    def __init__(self, couple: Couple) -> None:
        self._beat = Beat(couple.layout.size)
        self._session = bench_session(
            METRONOME,
            listen=couple.addresses[METRONOME],
            peers={TRAINEE: couple.addresses[TRAINEE]},
            graph=GRAPH,
            layout=couple.layout,
            trainer=self._beat,
            local_steps=STEPS,
        )
        self._session.__enter__()

    def obey(self, order: Order) -> None:
        """Change the beat to so many a second."""
        self._session.check()
        self._beat.set(order.number)

    def close(self) -> None:
        """Leave the session."""
        self._session.__exit__(None, None, None)
        self._beat.close()
