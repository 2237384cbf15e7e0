"""Tasks in other processes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from flwr_digest.cli.workers import ONE_THREAD, Tell, Watcher, do_all, usable_cpus
from flwr_digest.errors import ConfigError, DigestError
from flwr_digest.launch.waiting import wait_until

QUIET = Watcher(on_share=lambda number, share: None, on_end=lambda number: None)


def square(number: int, tell: Tell) -> tuple[int, int]:
    tell(0.5)
    return number**2, os.getpid()


def tell_half_and_wait(told: Path, tell: Tell) -> None:
    """Do half, and the rest when the watcher has heard of that of the first task."""
    tell(0.5)
    wait_until(told.exists, 60.0, "the watcher")


def threads(name: str, tell: Tell) -> str | None:
    return os.environ.get(name)


def refuse(number: int, tell: Tell) -> None:
    if number == 1:
        raise ConfigError("number is 1: it must be another")


def die(number: int, tell: Tell) -> None:
    os._exit(3)


def interrupted(number: int) -> None:
    raise KeyboardInterrupt


def test_outcomes_come_in_the_order_of_the_tasks_and_from_other_processes() -> None:
    outcomes = do_all(square, [3, 1, 2], 2, QUIET)

    assert [square for square, _ in outcomes] == [9, 1, 4]
    assert os.getpid() not in {process for _, process in outcomes}


def test_workers_have_one_thread_and_this_process_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)

    assert do_all(threads, list(ONE_THREAD), 1, QUIET) == ["1"] * len(ONE_THREAD)
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_the_watcher_is_told_of_shares_and_ends(tmp_path: Path) -> None:
    told = tmp_path / "told"
    ends: list[int] = []

    def write(number: int, share: float) -> None:
        told.write_text(f"{number} {share}")

    watcher = Watcher(on_share=write, on_end=ends.append)
    do_all(tell_half_and_wait, [told, told, told], 1, watcher)

    assert sorted(ends) == [0, 1, 2]
    assert told.read_text().endswith(" 0.5")


@pytest.mark.parametrize(
    ("work", "error", "said"),
    [
        (refuse, ConfigError, "^number is 1: it must be another$"),
        (die, DigestError, "^a worker process died; if memory ran out, use fewer with --jobs$"),
    ],
)
def test_an_error_in_a_worker_is_raised_here_and_no_worker_stays(
    work: Callable[[int, Tell], None], error: type[DigestError], said: str
) -> None:
    with pytest.raises(error, match=said):
        do_all(work, [0, 1, 2], 2, QUIET)

    assert multiprocessing.active_children() == []


def test_an_interrupt_ends_all_workers() -> None:
    watcher = Watcher(on_share=lambda number, share: None, on_end=interrupted)

    with pytest.raises(KeyboardInterrupt):
        do_all(square, [1, 2, 3], 2, watcher)

    assert multiprocessing.active_children() == []


def test_nothing_is_locked_that_an_interrupt_could_leave_locked() -> None:
    """A pool with threads was left waiting for them for ever by 1 interrupt in 150."""
    before = threading.enumerate()
    seen: list[list[threading.Thread]] = []
    watcher = Watcher(
        on_share=lambda number, share: seen.append(threading.enumerate()),
        on_end=lambda number: seen.append(threading.enumerate()),
    )
    do_all(square, [1, 2, 3], 2, watcher)

    assert seen == [before] * 6


def test_there_is_at_least_one_cpu() -> None:
    assert usable_cpus() >= 1
