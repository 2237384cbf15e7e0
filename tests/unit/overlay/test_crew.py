"""The crew: no thread fails unseen, and leaving is bounded."""

from __future__ import annotations

from queue import SimpleQueue
from threading import Event, current_thread

import pytest

from flwr_digest.overlay.crew import Crew

SECONDS = 60.0  # past that something hangs


def test_jobs_run_in_named_threads_of_their_own() -> None:
    names: SimpleQueue[str] = SimpleQueue()
    both, failures = Event(), list[BaseException]()

    def job(first: bool) -> None:
        names.put(current_thread().name)
        if first:
            assert both.wait(SECONDS)
        else:
            both.set()

    crew = Crew(2, failures.append)
    crew.start(job, True)
    crew.start(job, False)

    assert crew.join(SECONDS)
    assert failures == []
    assert {names.get(), names.get()} == {"flwr-digest_0", "flwr-digest_1"}


@pytest.mark.parametrize("error", [ValueError("a bug"), SystemExit(3), KeyboardInterrupt()])
def test_a_job_that_fails_is_reported(error: BaseException) -> None:
    failures: SimpleQueue[BaseException] = SimpleQueue()

    def job() -> None:
        raise error

    crew = Crew(1, failures.put)
    crew.start(job)

    assert failures.get(timeout=SECONDS) is error
    assert crew.join(SECONDS)


def test_the_others_go_on_when_one_fails() -> None:
    failures: SimpleQueue[BaseException] = SimpleQueue()
    go, done = Event(), Event()

    def fail() -> None:
        raise ValueError("a bug")

    def go_on() -> None:
        assert go.wait(SECONDS)
        done.set()

    crew = Crew(2, failures.put)
    crew.start(go_on)
    crew.start(fail)
    failures.get(timeout=SECONDS)
    go.set()

    assert crew.join(SECONDS)
    assert done.is_set()


def test_leaving_does_not_wait_for_a_job_that_does_not_end() -> None:
    failures = list[BaseException]()
    go = Event()

    def job() -> None:
        go.wait(SECONDS)

    crew = Crew(1, failures.append)
    future = crew.start(job)

    assert not crew.join(0.05)
    go.set()
    future.result(timeout=SECONDS)
    assert failures == []


def test_a_crew_without_jobs_ends_at_once() -> None:
    assert Crew(1, lambda error: None).join(0.0)
