"""The results of a chaos run: as a file, and as tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from tests.chaos.result import Result

MOST_FIGURES = 4  # on the screen; all are in the file
HEADLINES = (
    "longest_without_stream_tours",
    "longest_silence_tours",
    "tour_seconds",
    "network",
    "runs",
    "hangs",
    "steps_counted_twice",
    "steps_per_second_ratio",
    "seconds_to_target_ratio",
    "fedavg_steps_per_second_usually",
    "fedavg_steps_per_second_with_straggler",
)
"""Figures that are shown first."""


def write_summary(path: Path, results: Sequence[Result]) -> None:
    """Write what all scenarios have shown, as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(result) for result in results]
    path.write_text(json.dumps({"results": rows}, indent=2) + "\n")


def table_of(results: Sequence[Result]) -> Table:
    """Return which scenarios passed, and what was counted in them."""
    table = Table(title="chaos", title_justify="left")
    table.add_column("scenario", no_wrap=True)
    table.add_column("passed")
    for name in ("double counted", "forfeited", "reissued"):
        table.add_column(name, justify="right")
    for result in results:
        counts = (result.double_counted, result.forfeited, result.reissued)
        passed = "[green]yes[/]" if result.passed else "[bold red]NO[/]"
        table.add_row(result.scenario, passed, *map(str, counts))
    return table


def figures_of(results: Sequence[Result]) -> Table:
    """Return why a scenario failed, or what is most worth knowing of it."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    for result in results:
        grid.add_row(result.scenario, _about(result))
    return grid


def _about(result: Result) -> str:
    if result.failure:
        return result.failure
    first = [name for name in HEADLINES if name in result.figures]
    names = [*first, *(name for name in result.figures if name not in first)][:MOST_FIGURES]
    return ", ".join(_in_words(name, result.figures[name]) for name in names)


def _in_words(name: str, figure: float | str) -> str:
    return figure if isinstance(figure, str) else f"{name.replace('_', ' ')} {figure}"
