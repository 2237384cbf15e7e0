"""Results as tables that fit the terminal: the less important columns go first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from flwr_digest.cli import humane
from flwr_digest.cli.summary import Summary

MOST_CELLS = 10_000
"""More than any table is wide: rich measures no wider than it is told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of figures; the one with the highest `rank` is the first to be left out."""

    heading: str
    cell: Callable[[Summary], str]
    rank: int


def _column(heading: str, field: str, shown: Callable[[float | None], str], rank: int) -> Column:
    return Column(heading=heading, cell=lambda summary: shown(summary.of(field)), rank=rank)


AT_THE_END = (
    _column("gap\nmean", "gap_mean", humane.plain, 0),
    _column("gap\nworst", "gap_worst", humane.plain, 1),
    _column("accuracy\nmean", "accuracy_mean", humane.accuracy, 3),
    _column("accuracy\nworst", "accuracy_worst", humane.accuracy, 4),
    _column("consensus\ndistance", "consensus_distance", humane.plain, 7),
    _column("staleness\n(steps)", "staleness_steps", humane.plain, 6),
    _column("models\nsent", "models_sent", humane.counted, 8),
    _column("bytes\nsent", "bytes_sent", humane.size, 2),
    _column("nodes\nidle", "idle_share", humane.share, 5),
)


def results_table(title: str, summaries: Sequence[Summary], console: Console) -> Table:
    """Return a table of how the methods stand at the end."""
    return _fitted(title, AT_THE_END, summaries, console)


def targets_table(summaries: Sequence[Summary], console: Console) -> Table:
    """Return a table of the time and the bytes that it took to come to each gap.

    The wide gaps are the first to be left out: the narrow ones tell more.
    """
    targets = summaries[0].targets
    columns = [
        Column(
            heading=f"gap {target}\n(s, bytes)",
            cell=lambda summary, target=target: _reached(summary, target),  # type: ignore[misc]
            rank=len(targets) - number - 1,
        )
        for number, target in enumerate(targets)
    ]
    return _fitted("Time and bytes until the mean gap is at most", columns, summaries, console)


def _reached(summary: Summary, target: str) -> str:
    seconds = summary.to_gap("time_to", target)
    if seconds is None:
        return "never"
    return f"{humane.counted(seconds)}, {humane.size(summary.to_gap('bytes_to', target))}"


def _fitted(
    title: str, columns: Sequence[Column], summaries: Sequence[Summary], console: Console
) -> Table:
    """Return a table with as many columns as the console is wide enough for; at least one."""
    kept = list(columns)
    unbounded = console.options.update(max_width=MOST_CELLS)
    while True:
        table = _table(title, kept, summaries, left_out=len(columns) - len(kept))
        if len(kept) == 1 or console.measure(table, options=unbounded).minimum <= console.width:
            return table
        kept.remove(max(kept, key=lambda column: column.rank))


def _table(
    title: str, columns: Sequence[Column], summaries: Sequence[Summary], *, left_out: int
) -> Table:
    caption = None
    if left_out:
        caption = f"Columns left out on this narrow terminal: {left_out}; --json has all."
    table = Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    labels = [summary.label for summary in summaries]
    table.add_column("method", min_width=_width(" ".join(["method", *labels]).split()))
    for column in columns:
        cells = [column.cell(summary) for summary in summaries]
        width = _width([*column.heading.split("\n"), *cells])
        table.add_column(column.heading, justify="right", min_width=width)
    for summary in summaries:
        table.add_row(summary.label, *(column.cell(summary) for column in columns))
    return table


def _width(texts: Sequence[str]) -> int:
    """Return the width of the widest text; rich itself would rather cut figures than a label."""
    return max(cell_len(text) for text in texts)
