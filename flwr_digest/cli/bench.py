"""`flwr-digest bench`: how fast things are on this machine; here, the simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.table import Table

from flwr_digest.cli.bench_relay import relay
from flwr_digest.cli.bench_tour import tour
from flwr_digest.cli.bench_training import training
from flwr_digest.cli.consoles import notes_console, results_console, write_json
from flwr_digest.cli.module_loop import check_torch, module_loop
from flwr_digest.cli.options import read_counts
from flwr_digest.cli.progress import shown
from flwr_digest.cli.workers import Tell, do_all
from flwr_digest.learning.checks import Range, check_number
from flwr_digest.sim.bench import Speed, simulator_speed

app = typer.Typer()
app.command()(relay)
app.command()(tour)
app.command()(training)

_COUNT = Range(whole=True, least=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One row of the table."""

    nodes: int
    steps: int
    repeats: int


@app.callback()
def _group() -> None:
    """Measure how fast things are on this machine."""


@app.command()
def simulator(
    nodes: Annotated[
        str,
        typer.Option(metavar="COUNT,...", help="How many nodes, one row for each; 1 or more."),
    ] = "100",
    steps: Annotated[
        int, typer.Option(metavar="STEPS", help="Local steps a node in each repeat, 1 or more.")
    ] = 400,
    repeats: Annotated[
        int, typer.Option(metavar="COUNT", help="How often each takes its turn, 1 or more.")
    ] = 5,
    json: Annotated[
        bool, typer.Option("--json", help='Print only {"results": [...]} to stdout.')
    ] = False,
) -> None:
    """DIGEST in the simulator, next to a loop over PyTorch modules and to bare NumPy.

    All three make the same local steps, on one core, taking turns; the figures are medians. The
    first says how much the simulator gains by stepping nodes together, the second how much of
    the bound the protocol, the links and the clock leave. With far fewer steps than a run has,
    its beginning and end are most of what is measured (100 nodes, 100 steps: 0.49, 400: 0.68).
    """
    check_torch()
    check_number("--steps", steps, _COUNT)
    check_number("--repeats", repeats, _COUNT)
    cases = [Case(nodes=n, steps=steps, repeats=repeats) for n in read_counts("--nodes", nodes)]
    with shown("measuring", [f"{case.nodes} nodes" for case in cases], notes_console()) as watcher:
        speeds = do_all(_measure, cases, 1, watcher)
    if json:
        write_json({"results": [asdict(speed) for speed in speeds]})
    else:
        results_console().print(_table(speeds))


def _measure(case: Case, tell: Tell) -> Speed:
    return simulator_speed(case.nodes, case.steps, case.repeats, module_loop, tell=tell)


def _table(speeds: Sequence[Speed]) -> Table:
    table = Table(title="DIGEST in the simulator, on one core", title_justify="left")
    for heading in (
        "nodes",
        "local steps\na second",
        "times a loop\nover modules",
        "share of what\nNumPy could do",
    ):
        table.add_column(heading, justify="right")
    for speed in speeds:
        table.add_row(
            f"{speed.nodes:,}",
            f"{speed.node_steps_per_second:,.0f}",
            f"{speed.over_module_loop:.1f}",
            f"{100 * speed.over_batched_bound:.0f} %",
        )
    return table
