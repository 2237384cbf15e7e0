"""All chaos scenarios there are, whoever carries them out."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from tests.chaos.result import Result

MODULES = (
    "tests.chaos.scenarios",
    "tests.chaos.simulated",
    "tests.chaos.flower_scenarios",
)
"""Each with a list `SCENARIOS`; imported only when asked for, as Flower takes seconds to load."""


class Runnable(Protocol):
    """A chaos scenario."""

    @property
    def name(self) -> str:
        """What it is called, in the table and with `--only`."""
        ...

    def run(self, folder: Path) -> Result:
        """Carry it out; what it leaves behind lies in `folder`, which is there and empty."""
        ...


def all_scenarios() -> list[Runnable]:
    """Return the scenarios of all modules that there are, in their order."""
    found: list[Runnable] = []
    for module in MODULES:
        if find_spec(module) is None:
            continue
        scenarios: Sequence[Runnable] = import_module(module).SCENARIOS
        found.extend(scenarios)
    return found
