"""Fixtures for tests with real sessions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flwr_digest.core.patience import Delays, Patience
from flwr_digest.overlay import diagnose, dialer, server
from flwr_digest.overlay import session as session_module
from tests.support.overlay_session import LONGEST_SECONDS, captured_log
from tests.support.places import socket_folder


@pytest.fixture(autouse=True)
def _limits_that_only_a_hanging_peer_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no busy machine look like a peer that hangs; tests of such peers have shorter limits."""
    monkeypatch.setattr(session_module, "GOODBYE_SECONDS", LONGEST_SECONDS)
    monkeypatch.setattr(dialer, "LAST_WORDS_SECONDS", LONGEST_SECONDS)
    for module in (dialer, server):
        monkeypatch.setattr(module, "HELLO_SECONDS", LONGEST_SECONDS)
    monkeypatch.setattr(diagnose, "LOOK_SECONDS", LONGEST_SECONDS)


@pytest.fixture
def endless_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody send a hop again, or think a stream lost, because the machine is busy.

    For tests that count what there is without faults.
    """
    monkeypatch.setattr(Patience, "wait_seconds", LONGEST_SECONDS)
    monkeypatch.setattr(Delays, "lost_after_seconds", LONGEST_SECONDS)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for unix sockets."""
    with socket_folder() as folder:
        yield folder


@pytest.fixture
def log() -> Iterator[list[str]]:
    """The lines that the overlay logs during the test."""
    with captured_log() as lines:
        yield lines
