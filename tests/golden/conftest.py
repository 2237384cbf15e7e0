"""`pytest tests/golden --update-golden` rewrites the transcripts: do so only once understood."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden transcripts")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether to rewrite; a run of the whole suite does not know the option, and never does."""
    return bool(request.config.getoption("--update-golden", default=False))
