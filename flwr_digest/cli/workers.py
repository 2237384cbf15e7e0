"""Simulations in other processes, side by side.

All go through here, even a single one: the linear algebra of a worker has one thread, so a result
depends neither on how many workers there are nor on how many cores, and workers do not fight for
them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from multiprocessing.context import SpawnContext
from multiprocessing.queues import Queue
from queue import Empty
from typing import TypeVar

from flwr_digest.errors import DigestError

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")

Tell = Callable[[float], None]
"""Is told which share of a task is done, from 0 to 1."""

Work = Callable[[Task, Tell], Outcome]
"""Does a task: a function at the top of a module, so that other processes find it."""

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}
"""How the libraries behind NumPy are told; they read it when they are loaded."""

LOOK_SECONDS = 0.1
"""How often the progress is looked at: often enough for the eye, a guess."""

Told = tuple[int, float]
"""Number of a task, and the share of it that is done."""

_told: ContextVar[Queue[Told]] = ContextVar("_told")


@dataclass(frozen=True, kw_only=True, slots=True)
class Watcher:
    """Who is told, by number of the task, which share of it is done, and that all of it is."""

    on_share: Callable[[int, float], None]
    on_end: Callable[[int], None]


def usable_cpus() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def do_all(
    work: Work[Task, Outcome], tasks: Sequence[Task], jobs: int, watcher: Watcher
) -> list[Outcome]:
    """Do all tasks in up to `jobs` processes.

    Returns
    -------
    list
        What came of them in the order of `tasks`, whichever ended first.

    Raises
    ------
    DigestError
        The first that a task raised, or a worker died.
    KeyboardInterrupt
        Passed on, once all workers are gone.
    """
    context = multiprocessing.get_context("spawn")  # a fork may copy locks that threads hold
    told: Queue[Told] = context.Queue()
    try:
        with _pool(context, told, min(jobs, len(tasks))) as pool:
            futures = {pool.submit(_in_worker, work, n, task): n for n, task in enumerate(tasks)}
            return _gather(futures, told, watcher)
    except BrokenProcessPool as error:
        raise DigestError(
            "a worker process died; if memory ran out, use fewer with --jobs"
        ) from error
    finally:
        told.close()


def _gather(
    futures: dict[Future[Outcome], int], told: Queue[Told], watcher: Watcher
) -> list[Outcome]:
    """Wait for all, passing on what is told meanwhile."""
    outcomes: dict[int, Outcome] = {}
    pending = set(futures)
    while pending:
        _pass_on(told, watcher)
        done, pending = wait(pending, timeout=0)
        for future in done:
            outcomes[futures[future]] = future.result()
            watcher.on_end(futures[future])
    return [outcomes[number] for number in sorted(outcomes)]


def _pass_on(told: Queue[Told], watcher: Watcher) -> None:
    """Pass on all that has been told; wait a moment for the first."""
    try:
        watcher.on_share(*told.get(timeout=LOOK_SECONDS))
        while True:
            watcher.on_share(*told.get_nowait())
    except Empty:
        return


@contextmanager
def _pool(context: SpawnContext, told: Queue[Told], jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of workers; afterwards they are gone, however the block ended."""
    others = set(multiprocessing.active_children())
    with _environment(ONE_THREAD):
        pool = ProcessPoolExecutor(
            max_workers=jobs, mp_context=context, initializer=_prepare, initargs=(told,)
        )
        try:
            yield pool
        except BaseException:
            # What they still do is of no use to anyone, so it is not waited for.
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    """Change environment variables for the processes that start meanwhile."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _prepare(told: Queue[Told]) -> None:
    """Make this process a worker: it ends when its parent does, and by nobody else's Ctrl-C."""
    _told.set(told)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the parent acts
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # from a thread nothing gentler ends the process


def _in_worker(work: Work[Task, Outcome], number: int, task: Task) -> Outcome:
    told = _told.get()
    return work(task, lambda share: told.put((number, share)))
