"""The overlay's threads: all of them are known, and none can fail unseen."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait


class Crew:
    """A fixed number of threads that report every exception.

    Parameters
    ----------
    size : int
        How many jobs can run at once; more would wait, so size it for all jobs there can be.
    on_failure : callable
        Called with the exception of a job that failed, in that job's thread.
    """

    def __init__(self, size: int, on_failure: Callable[[BaseException], None]) -> None:
        self._pool = ThreadPoolExecutor(max_workers=size, thread_name_prefix="flwr-digest")
        self._on_failure = on_failure
        self._jobs: set[Future[None]] = set()

    def start(self, job: Callable[..., None], *args: object) -> Future[None]:
        """Run a job in a thread of its own."""
        future = self._pool.submit(job, *args)
        self._jobs.add(future)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: Future[None]) -> None:
        self._jobs.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            self._on_failure(error)

    def join(self, seconds: float) -> bool:
        """Wait until all jobs have ended; return whether they did within `seconds`."""
        _, running = wait(set(self._jobs), timeout=seconds)
        self._pool.shutdown(wait=not running, cancel_futures=True)
        return not running
