"""`flwr-digest bench relay`: one hop of a model, next to raw TCP and to a naive overlay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from flwr_digest.benches.relay import SIZES, VALUE_BYTES, WAYS, RelaySpeed, pairs_of, relay_speeds
from flwr_digest.cli import humane
from flwr_digest.cli.bench_options import COUNT, Json, read_sizes
from flwr_digest.cli.consoles import notes_console, results_console, write_json
from flwr_digest.cli.progress import shown
from flwr_digest.learning.checks import check_number


def relay(
    sizes: Annotated[
        str,
        typer.Option(
            metavar="BYTES,...", help=f"Sizes of models, each a multiple of {VALUE_BYTES}."
        ),
    ] = ",".join(map(str, SIZES)),
    repeats: Annotated[
        int, typer.Option(metavar="COUNT", help="How often each takes its turn, 1 or more.")
    ] = 21,
    json: Json = False,
) -> None:
    """One hop between two processes: sent, received, checked, acknowledged.

    Beside it, taking turns in the same run: raw TCP, a unary gRPC call with a protobuf bytes field
    (what a naive overlay does), and hops with all that a visit is. The figures are medians.
    """
    check_number("--repeats", repeats, COUNT)
    counts = read_sizes("--sizes", sizes)
    speeds: list[RelaySpeed] = []
    names = [humane.size(each) for each in counts]
    with shown("measuring", names, notes_console()) as watcher, pairs_of(WAYS, counts) as pairs:
        for number, size in enumerate(counts):

            def tell(share: float, number: int = number) -> None:
                watcher.on_share(number, share)

            speeds += relay_speeds(pairs, size, repeats, tell)
            watcher.on_end(number)
    if json:
        write_json({"results": [asdict(speed) for speed in speeds]})
    else:
        results_console().print(_table(speeds))


def _table(speeds: Sequence[RelaySpeed]) -> Table:
    table = Table(title="One hop over the overlay", title_justify="left")
    for heading in (
        "model",
        "security",
        "ms",
        "share of\nraw TCP",
        "times a\nnaive overlay",
        "CPU seconds\na GB",
        "ms with\na visit",
        "memory beyond the model\n(sender, receiver)",
    ):
        table.add_column(heading, justify="right")
    for speed in speeds:
        table.add_row(
            humane.size(speed.bytes),
            speed.security,
            humane.plain(speed.p50_ms),
            humane.share(speed.over_raw_tcp),
            f"{speed.over_naive:.1f}",
            f"{speed.cpu_seconds_per_gb:.2f}",
            humane.plain(speed.with_visit_p50_ms),
            f"{humane.share(speed.sender_memory)}, {humane.share(speed.receiver_memory)}",
        )
    return table
