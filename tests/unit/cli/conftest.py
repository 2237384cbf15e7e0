"""A small scenario, and the command as a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from flwr_digest.cli.app import main

# Least squares: its least loss is known at once.
SMALL = """
name = "small"
model = "least-squares"
learning_rate = 0.01
nodes = 4
steps = 24
batch_size = 4
measurements = 3
targets = [0.4, 0.000001]
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a command has ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def small(tmp_path: Path) -> str:
    """Return the path of a scenario that runs in no time."""
    path = tmp_path / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    return str(path)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Return the command; its words are the arguments."""

    def run(*words: str) -> Ended:
        code = main(words)
        said = capsys.readouterr()
        return Ended(code=code, out=said.out, err=said.err)

    return run
