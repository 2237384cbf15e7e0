"""Results in the forms that people and programs take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flwr_digest.cli.consoles import json_text, results_console, write_json
from flwr_digest.cli.summary import summaries
from flwr_digest.cli.table import results_table, targets_table
from flwr_digest.cli.trace import trace_text
from flwr_digest.errors import ConfigError
from flwr_digest.report.charts import draw
from flwr_digest.report.curves import Curve
from flwr_digest.sim.record import Json, Result

RESULTS_NAME = "results.json"
CHARTS = ("svg", "png")
"""Formats of the charts: one to zoom into, one that all programs show."""


def check_apart(trace: Path, out: Path) -> None:
    """Raise `ConfigError` where the trace would take the place of another file."""
    if trace.resolve() in [path.resolve() for path in _in_folder(out)]:
        raise ConfigError(f"--trace={str(trace)!r} is also a file of --out: name another")


def _in_folder(out: Path) -> list[Path]:
    return [out / RESULTS_NAME, *(out / f"charts.{each}" for each in CHARTS)]


def document(labels: Sequence[str], results: Sequence[Result]) -> Json:
    """Return what `--json` prints: one entry for each method and seed."""
    entries = zip(labels, results, strict=True)
    return {"results": [{"label": label, **result.to_json()} for label, result in entries]}


def files_of(
    title: str,
    labels: Sequence[str],
    results: Sequence[Result],
    *,
    trace: Path | None,
    out: Path | None,
) -> dict[Path, bytes]:
    """Return the contents of all files that are wanted."""
    files: dict[Path, bytes] = {}
    if trace is not None:
        files[trace] = trace_text(labels, results).encode()
    if out is not None:
        charts = draw(title, _curves(labels, results), CHARTS)
        text = json_text(document(labels, results))
        contents = [text.encode(), *(charts[each] for each in CHARTS)]
        files |= dict(zip(_in_folder(out), contents, strict=True))
    return files


def _curves(labels: Sequence[str], results: Sequence[Result]) -> list[Curve]:
    grouped: dict[str, list[Result]] = {}
    for label, result in zip(labels, results, strict=True):
        grouped.setdefault(label, []).append(result)
    return [Curve(label=label, runs=[each.rows for each in of]) for label, of in grouped.items()]


def show(title: str, labels: Sequence[str], results: Sequence[Result], *, json: bool) -> None:
    """Write results to stdout, as JSON or as tables."""
    if json:
        write_json(document(labels, results))
        return
    console = results_console()
    entries = [result.to_json() for result in results]
    summed = summaries(list(zip(labels, entries, strict=True)))
    console.print(results_table(title, summed, console))
    console.print(targets_table(summed, console))
