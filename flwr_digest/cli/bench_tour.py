"""`flwr-digest bench tour`: a model passing eight nodes over slow links, whole or in shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from flwr_digest.benches.tour import (
    CONTROL_BYTES,
    MODEL_BYTES,
    SHARDS,
    TourSpeed,
    Weight,
    tour_speeds,
    weight,
)
from flwr_digest.cli import humane
from flwr_digest.cli.bench_options import COUNT, SECONDS, Json, read_sizes
from flwr_digest.cli.consoles import notes_console, results_console, write_json
from flwr_digest.cli.options import read_counts
from flwr_digest.cli.progress import shown
from flwr_digest.learning.checks import Range, check_number


def tour(
    size: Annotated[
        int,
        typer.Option(
            metavar="BYTES",
            help="Size of the model, a multiple of 4. Of the default a hop is 0.4 s of transfer "
            "and 0.02 s of latency.",
        ),
    ] = MODEL_BYTES,
    shards: Annotated[
        str, typer.Option(metavar="COUNT,...", help="Slices of the model, a row for each.")
    ] = ",".join(map(str, SHARDS)),
    seconds: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long each is watched, above 0.")
    ] = 10.0,
    repeats: Annotated[
        int, typer.Option(metavar="COUNT", help="How often each takes its turn, 1 or more.")
    ] = 3,
    json: Json = False,
) -> None:
    """A model passing eight nodes over links of 100 Mbit/s and 20 ms, whole or in shards.

    Real sessions of all nodes, in one process. Beside it: what share of all bytes is not the
    model's, for one of 10 KB and one of 1.1 MB.
    """
    check_number("--seconds", seconds, SECONDS)
    check_number("--repeats", repeats, COUNT)
    (count,) = read_sizes("--size", str(size))
    streams = read_counts("--shards", shards)
    for each in streams:
        check_number("--shards", each, Range(whole=True, least=1, below=count // 4 + 1))
    with shown("measuring", ["tours", "control bytes"], notes_console()) as watcher:
        speeds = tour_speeds(
            count, streams, seconds, repeats, lambda share: watcher.on_share(0, share)
        )
        watcher.on_end(0)
        weights = [weight(each) for each in CONTROL_BYTES]
        watcher.on_end(1)
    if json:
        write_json(
            {
                "results": [asdict(speed) for speed in speeds],
                "control": [asdict(each) for each in weights],
            }
        )
    else:
        results_console().print(_tours(speeds), _weights(weights))


def _tours(speeds: Sequence[TourSpeed]) -> Table:
    table = Table(title="Eight nodes, links of 100 Mbit/s and 20 ms", title_justify="left")
    for heading in ("model", "shards", "tours\na minute", "times one\nshard", "hops sent\nagain"):
        table.add_column(heading, justify="right")
    for speed in speeds:
        table.add_row(
            humane.size(speed.bytes),
            str(speed.shards),
            humane.plain(speed.tours_per_minute),
            humane.plain(speed.over_one_shard),
            humane.share(speed.resent_share),
        )
    return table


def _weights(weights: Sequence[Weight]) -> Table:
    table = Table(title="What is sent beside the model", title_justify="left")
    for heading in ("model", "control, of\nall bytes", "below it, of\nall on the wire"):
        table.add_column(heading, justify="right")
    for each in weights:
        table.add_row(
            humane.size(each.bytes),
            f"{100 * each.control_share:.2f} %",
            f"{100 * each.below_share:.2f} %",
        )
    return table
