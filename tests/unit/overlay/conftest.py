"""Fixtures for unit tests of the overlay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import socket_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for unix sockets."""
    with socket_folder() as folder:
        yield folder
