"""Settings for all tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# Before anyone imports torch: idle threads of a second core spin while another process needs it,
# and training gets up to fifty times slower (measured on two cores).
os.environ.setdefault("OMP_NUM_THREADS", "1")

EXHAUSTIVE = "exhaustive"

# How long an example takes tells of the machine, not of the code: by default Hypothesis fails a
# test after a pause of a fifth of a second.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes too long to run every time, unless `-m` names it."""
    if EXHAUSTIVE in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker(EXHAUSTIVE)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
