"""`flwr-digest bench training`: local steps while streams pass through the node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from flwr_digest.cli import humane
from flwr_digest.cli.bench_options import COUNT, SECONDS, Json
from flwr_digest.cli.consoles import notes_console, results_console, write_json
from flwr_digest.cli.module_loop import check_torch
from flwr_digest.cli.options import read_counts
from flwr_digest.cli.progress import shown
from flwr_digest.learning.checks import check_number

if TYPE_CHECKING:
    from flwr_digest.benches.training import TrainingSpeed


def training(
    rates: Annotated[
        str,
        typer.Option(metavar="VISITS,...", help="Visits a second, a row for each; 1 or more."),
    ] = "10,50",
    seconds: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long a turn is, above 0.")
    ] = 2.0,
    repeats: Annotated[
        int, typer.Option(metavar="COUNT", help="How often each takes its turn, 1 or more.")
    ] = 9,
    json: Json = False,
) -> None:
    """Local steps a second while 1.1 MB streams pass through, as a share of the same loop alone.

    Of a small MLP and of ResNet-20, with one thread each; the loop alone and the loop with streams
    take turns in one process, the node's neighbor is another. The figures are medians.
    """
    check_torch()
    check_number("--seconds", seconds, SECONDS)
    check_number("--repeats", repeats, COUNT)
    beats = read_counts("--rates", rates)
    from flwr_digest.benches.loops import LOOPS  # loads torch, an extra
    from flwr_digest.benches.training import training_speeds

    speeds: list[TrainingSpeed] = []
    with shown("measuring", list(LOOPS), notes_console()) as watcher:
        for number, loop in enumerate(LOOPS):

            def tell(share: float, number: int = number) -> None:
                watcher.on_share(number, share)

            speeds += training_speeds(loop, beats, seconds, repeats, tell)
            watcher.on_end(number)
    if json:
        write_json({"results": [asdict(speed) for speed in speeds]})
    else:
        results_console().print(_table(speeds))


def _table(speeds: Sequence[TrainingSpeed]) -> Table:
    table = Table(title="Local steps beside a stream of 1.1 MB", title_justify="left")
    for heading in (
        "loop",
        "visits\na second",
        "local steps\na second",
        "share of\nsteps kept",
        "without waits\nfor a processor",
        "ms a visit: training thread\nblocked, busy; gRPC, overlay",
    ):
        table.add_column(heading, justify="right")
    for speed in speeds:
        spent = speed.milliseconds_per_visit
        table.add_row(
            speed.loop,
            str(speed.visits_per_second),
            humane.plain(speed.steps_per_second),
            humane.share(speed.share_of_steps),
            humane.share(speed.share_while_running),
            f"{spent.blocked:.1f}, {spent.training_thread:.1f}; "
            f"{spent.grpc:.1f}, {spent.overlay:.1f}",
        )
    return table
