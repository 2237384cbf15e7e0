"""A node that trains, with a stream passing through it or without."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import get_native_id

from flwr_digest.benches.loops import Loop
from flwr_digest.benches.metronome import GRAPH, METRONOME, TRAINEE, Couple
from flwr_digest.benches.sessions import bench_session
from flwr_digest.benches.workers import Order
from flwr_digest.errors import DigestError
from flwr_digest.learning.flat import FlatModel
from flwr_digest.learning.handoff import Handoff
from flwr_digest.learning.hooks import StepHooks

LINK_SECONDS = 30.0  # a guess: for the neighbor, on a busy machine
WARM_UP_SHARE = 0.2  # of the time before it is measured: the beat has just changed
_TASKS = Path("/proc/self/task")
_OF_GRPC = "event_engine"  # how gRPC's core names its threads


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """Seconds of processor time so far: of the training thread, of gRPC's core, of the others.

    `waiting` is how long the training thread was ready to run and no processor was free. All are 0
    where the system does not tell (it does on Linux).
    """

    training: float = 0.0
    grpc: float = 0.0
    overlay: float = 0.0
    waiting: float = 0.0

    def __sub__(self, other: Times) -> Times:
        """Return what has come since."""
        return Times(
            training=self.training - other.training,
            grpc=self.grpc - other.grpc,
            overlay=self.overlay - other.overlay,
            waiting=self.waiting - other.waiting,
        )


def times_now() -> Times:
    """Return the times of this process's threads; call it from the training thread."""
    sums = {"training": 0.0, "grpc": 0.0, "overlay": 0.0, "waiting": 0.0}
    for task in _TASKS.iterdir() if _TASKS.is_dir() else ():
        try:
            name = (task / "comm").read_text(encoding="utf-8")
            ran, waited, _ = map(int, (task / "schedstat").read_text(encoding="ascii").split())
        except (OSError, ValueError):  # the thread has ended
            continue
        if task.name == str(get_native_id()):
            sums["training"] += ran * 1e-9
            sums["waiting"] += waited * 1e-9
        else:
            sums["grpc" if name.startswith(_OF_GRPC) else "overlay"] += ran * 1e-9
    return Times(**sums)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Some seconds of training."""

    seconds: float
    steps: int
    visits: int
    times: Times


class Trainee:
    """The node as a process."""

    def __init__(self, loop: str, couple: Couple) -> None:
        self._loop = Loop(loop)
        flat = FlatModel(self._loop.model)
        self._handoff = Handoff()
        self._session = bench_session(
            TRAINEE,
            listen=couple.addresses[TRAINEE],
            peers={METRONOME: couple.addresses[METRONOME]},
            graph=GRAPH,
            layout=couple.layout,
            trainer=self._handoff,
        )
        self._session.__enter__()
        self._handoff.bind(flat.vector, flat.repair, flat.echoes)

    def obey(self, order: Order) -> Stretch:
        """Train for so many seconds: `visited` with the stream, else as if there were none."""
        if self._session.await_neighbors(LINK_SECONDS):
            raise DigestError("the neighbor does not link")
        if order.what != "visited":
            return self._train(order.number)
        hooks = StepHooks(self._loop.model, self._loop.optimizer, self._handoff)
        try:
            return self._train(order.number)
        finally:
            hooks.remove()

    def _train(self, seconds: float) -> Stretch:
        _steps(self._loop.step, seconds * WARM_UP_SHARE)
        before, visits = times_now(), self._visits()
        begin = time.perf_counter()
        steps = _steps(self._loop.step, seconds)
        spent = time.perf_counter() - begin
        self._session.check()
        return Stretch(
            seconds=spent,
            steps=steps,
            visits=self._visits() - visits,
            times=times_now() - before,
        )

    def _visits(self) -> int:
        return sum(each.visits for each in self._session.report().counters.values())

    def close(self) -> None:
        """Leave the session."""
        self._session.__exit__(None, None, None)


def _steps(step: Callable[[], None], seconds: float) -> int:
    """Make steps for some time, at least one; return how many."""
    end, made = time.perf_counter() + seconds, 0
    while not made or time.perf_counter() < end:
        step()
        made += 1
    return made
