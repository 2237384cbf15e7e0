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
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Generic, TypeVar

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


@dataclass(frozen=True, slots=True)
class _Share:
    """A worker says how far it is, from 0 to 1."""

    share: float


@dataclass(frozen=True, slots=True)
class _Done(Generic[Outcome]):
    """A worker says what came of its task."""

    outcome: Outcome


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
    with ExitStack() as stack:
        with _environment(ONE_THREAD):
            workers = [stack.enter_context(_Worker(work)) for _ in range(min(jobs, len(tasks)))]
        return _shared_out(workers, tasks, watcher)


def _shared_out(
    workers: Sequence[_Worker[Task, Outcome]], tasks: Sequence[Task], watcher: Watcher
) -> list[Outcome]:
    """Give each worker its next task as it ends one, and pass on what is told meanwhile."""
    open_tasks = iter(enumerate(tasks))
    at_work = {worker.pipe: worker for worker in workers if worker.take_next(open_tasks)}
    outcomes: dict[int, Outcome] = {}
    while at_work:
        for pipe in wait(list(at_work)):
            worker = at_work[pipe]  # type: ignore[index]  # they are the pipes that were given
            heard = worker.hear()
            if isinstance(heard, _Share):
                watcher.on_share(worker.number, heard.share)
                continue
            outcomes[worker.number] = heard.outcome
            watcher.on_end(worker.number)
            if not worker.take_next(open_tasks):
                del at_work[worker.pipe]
    return [outcomes[number] for number in range(len(tasks))]


class _Worker(Generic[Task, Outcome]):
    """A process that does one task after the other. Leaving the context ends it.

    It shares a pipe with this process, and nothing with others: no queue, no lock, no thread. So an
    interrupt at whatever moment leaves nothing locked, which it does in `ProcessPoolExecutor`
    (measured: 1 Ctrl-C in 150 never came back).
    """

    def __init__(self, work: Work[Task, Outcome]) -> None:
        context = multiprocessing.get_context("spawn")  # a fork may copy locks that threads hold
        self.pipe: Connection
        self.pipe, theirs = context.Pipe()
        self.number = -1
        self._process = context.Process(target=_serve, args=(work, theirs), daemon=True)
        self._process.start()
        theirs.close()  # else the end of the process would not be seen

    def __enter__(self) -> _Worker[Task, Outcome]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it. What it still does is of no use to anyone, so it is not waited for."""
        self._process.kill()
        self._process.join()
        self.pipe.close()

    def take_next(self, tasks: Iterator[tuple[int, Task]]) -> bool:
        """Begin the next of the tasks; False where there is none."""
        for self.number, task in tasks:
            with suppress(BrokenPipeError, ConnectionResetError):  # it died: `hear` says so
                self.pipe.send(task)
            return True
        return False

    def hear(self) -> _Share | _Done[Outcome]:
        """Return what the worker says next, waiting for it; raise what its task raised."""
        try:
            said: Any = self.pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            raise DigestError(
                "a worker process died; if memory ran out, use fewer with --jobs"
            ) from error
        if isinstance(said, DigestError):
            raise said
        heard: _Share | _Done[Outcome] = said
        return heard


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


def _serve(work: Work[Task, Outcome], pipe: Connection) -> None:
    """Do task after task: the main function of a worker, which its parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the parent acts
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
        while True:
            pipe.send(_answer(work, pipe.recv(), pipe))


def _answer(
    work: Work[Task, Outcome], task: Task, pipe: Connection
) -> _Done[Outcome] | DigestError:
    """Return what came of a task; an error of the user's is an answer, for the parent to raise."""
    try:
        return _Done(work(task, lambda share: pipe.send(_Share(share))))
    except DigestError as error:
        return error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # from a thread nothing gentler ends the process
