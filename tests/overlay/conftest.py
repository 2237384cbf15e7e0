"""Fixtures for tests with real sessions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.overlay_session import captured_log


@pytest.fixture
def log() -> Iterator[list[str]]:
    """The lines that the overlay logs during the test."""
    with captured_log() as lines:
        yield lines
