"""Leaves out what takes too long to run every time."""

from __future__ import annotations

from pathlib import Path

import pytest

MARKER = "exhaustive"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{MARKER}: every combination, an hour in all; runs only with -m {MARKER}"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if MARKER in config.option.markexpr:
        return
    here = Path(__file__).parent
    left_out = [
        item for item in items if here in item.path.parents and item.get_closest_marker(MARKER)
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
