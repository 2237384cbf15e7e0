"""Tables that fit the terminal."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.table import Table

from flwr_digest.cli.summary import Summary
from flwr_digest.cli.table import results_table, targets_table

ENTRY = {
    "gap_mean": 0.007,
    "gap_worst": 0.0712,
    "accuracy_mean": 0.9712,
    "accuracy_worst": 0.912,
    "consensus_distance": 0.25,
    "staleness_steps": 33.3,
    "models_sent": 1234.4,
    "bytes_sent": 3_210_000,
    "idle_share": 0.125,
    "time_to": {"0.1": 300.0, "0.01": None},
    "bytes_to": {"0.1": 1_230_000, "0.01": None},
}
SUMMARIES = [
    Summary(label="digest, shards=16, drift-correction", entries=[ENTRY]),
    Summary(label="fedavg", entries=[{**ENTRY, "gap_mean": None, "staleness_steps": None}]),
]


def shown(make: Callable[[Console], Table], width: int) -> list[str]:
    text = io.StringIO()
    console = Console(file=text, width=width, markup=False)
    console.print(make(console))
    return text.getvalue().splitlines()


def results(console: Console) -> Table:
    return results_table("a title", SUMMARIES, console)


def targets(console: Console) -> Table:
    return targets_table(SUMMARIES, console)


def row_of(lines: list[str], label: str) -> str:
    return " ".join(next(line for line in lines if line.strip().startswith(label)).split())


def test_a_wide_terminal_has_all_figures() -> None:
    lines = shown(results, 160)

    assert lines[0].strip() == "a title"
    assert row_of(lines, "fedavg") == "fedavg - 0.0712 0.971 0.912 0.250 - 1,234 3.21 MB 12 %"
    assert row_of(lines, "digest").removeprefix("digest, shards=16, drift-correction ") == (
        "0.00700 0.0712 0.971 0.912 0.250 33.3 1,234 3.21 MB 12 %"
    )


def test_what_was_never_reached_says_so() -> None:
    lines = shown(targets, 160)

    assert row_of(lines, "fedavg") == "fedavg 300, 1.23 MB never"


@pytest.mark.parametrize("width", range(40, 130, 10))
@pytest.mark.parametrize("make", [results, targets])
def test_no_line_is_wider_than_the_terminal_and_no_figure_is_cut(
    make: Callable[[Console], Table], width: int
) -> None:
    lines = shown(make, width)

    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)


def test_a_narrow_terminal_keeps_the_gaps_and_counts_what_is_left_out() -> None:
    lines = shown(results, 40)

    assert row_of(lines, "fedavg") == "fedavg - 0.0712"
    assert "Columns left out on this narrow terminal: 7;" in " ".join(" ".join(lines).split())


def test_the_smallest_gap_is_the_last_to_be_left_out() -> None:
    heading = " ".join(shown(targets, 40))

    assert "gap 0.01" in heading
    assert "gap 0.1 " not in heading
