"""Fixtures of all tests that speak to Flower's classes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flwr_digest.clients.store import HOME
from tests.support.flower_app import socket_folder
from tests.support.flower_grid import server_identity


@pytest.fixture(autouse=True)
def as_server() -> Iterator[None]:
    with server_identity():
        yield


@pytest.fixture(autouse=True)
def digest_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME, str(tmp_path / "digest"))
    return tmp_path / "digest"


@pytest.fixture
def sockets() -> Iterator[Path]:
    with socket_folder() as folder:
        yield folder
