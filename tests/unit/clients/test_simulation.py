"""What it takes to run in Flower's simulation engine, and nothing anywhere else."""

from __future__ import annotations

import importlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import ModuleType

import pytest

from flwr_digest.clients.simulation import lift_node_limit, simulated, slots, socket_address
from flwr_digest.errors import ConfigError
from tests.support.flower_app import socket_folder

ENGINE = "flwr.server.superlink.fleet.vce.vce_api"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Flower's own engine, put back as it was afterwards."""
    module = importlib.import_module(ENGINE)
    monkeypatch.setattr(module, "ThreadPoolExecutor", ThreadPoolExecutor)
    return module


def test_the_engine_can_run_more_nodes_than_pythons_default(engine: ModuleType) -> None:
    lift_node_limit()
    count = min(32, (os.cpu_count() or 1) + 4) + 1
    together = Barrier(count)
    with engine.ThreadPoolExecutor() as pool:  # as the engine makes it
        jobs = [pool.submit(together.wait, 20.0) for _ in range(count)]
        assert sorted(job.result() for job in jobs) == list(range(count))


def test_lifting_twice_is_as_good_as_once(engine: ModuleType) -> None:
    lift_node_limit()
    lift_node_limit()
    with engine.ThreadPoolExecutor() as pool:
        assert pool.submit(int, "7").result(20.0) == 7


def test_other_users_of_the_class_are_left_alone(engine: ModuleType) -> None:
    lift_node_limit()
    assert engine.ThreadPoolExecutor is not ThreadPoolExecutor
    with ThreadPoolExecutor() as pool:
        assert pool._max_workers == min(32, (os.cpu_count() or 1) + 4)


def test_without_the_engine_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, ENGINE, raising=False)
    lift_node_limit()
    assert ENGINE not in sys.modules


def test_an_engine_that_is_not_known_is_an_error_and_no_hang(
    engine: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(engine, "ThreadPoolExecutor")
    with pytest.raises(ConfigError, match="not known to flwr-digest") as caught:
        lift_node_limit()
    assert "\n" not in str(caught.value)


def test_outside_ray_there_are_no_slots() -> None:
    assert not simulated()
    assert slots() == 0


def test_ray_that_is_only_imported_simulates_nothing() -> None:
    pytest.importorskip("ray")
    assert not simulated()
    assert slots() == 0


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with socket_folder() as folder:
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        yield folder


def test_sockets_lie_in_a_folder_of_this_user_only(temporary: Path) -> None:
    address = socket_address(2**63 + 1, 2**64 - 1)
    path = Path(address.removeprefix("unix:"))
    assert path.parent.parent == temporary
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(os.fsencode(path)) <= 107
    assert socket_address(2**63 + 1, 2**64 - 1) == address


def test_each_node_and_run_has_its_own_socket(temporary: Path) -> None:
    assert len({socket_address(run, node) for run in (1, 2) for node in (3, 4)}) == 4


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_that_is_open_to_others_is_refused(temporary: Path, mode: int) -> None:
    folder = Path(socket_address(1, 2).removeprefix("unix:")).parent
    folder.chmod(mode)
    with pytest.raises(ConfigError, match="open to others") as caught:
        socket_address(1, 2)
    assert str(folder) in str(caught.value)


def test_a_link_to_another_folder_is_refused(temporary: Path, tmp_path: Path) -> None:
    folder = Path(socket_address(1, 2).removeprefix("unix:")).parent
    folder.rmdir()
    elsewhere = tmp_path / "private"
    elsewhere.mkdir(mode=0o700)
    folder.symlink_to(elsewhere)
    with pytest.raises(ConfigError):
        socket_address(1, 2)
