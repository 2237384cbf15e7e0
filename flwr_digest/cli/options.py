"""The options that several commands share. Figures are checked where they are used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flwr_digest.errors import ConfigError
from flwr_digest.learning.checks import Range, check_number

WHAT = "What is run"
HOW = "Settings, for all methods that take them"
RESULTS = "Results"

DEFAULT_SCENARIO = "digits-by-label-16"
"""Non-iid, where the methods differ most, and small: seconds a run (measured)."""

DEFAULT_TUNE_TO = 0.05
"""What the project compares times to; a guess of when a model is of use."""

Scenario = Annotated[
    str,
    typer.Option(
        metavar="SCENARIO",
        help="A built-in one (`flwr-digest scenarios` lists them), or a file that ends in .toml.",
        rich_help_panel=WHAT,
    ),
]
Steps = Annotated[
    float | None,
    typer.Option(
        metavar="STEPS",
        help="How long: local steps that a node makes on average, above 0. "
        "Default: the scenario's.",
        rich_help_panel=WHAT,
    ),
]
Tune = Annotated[
    bool,
    typer.Option(
        "--tune",
        help="Before the runs, find for each method the learning rate and the local steps of a "
        "grid that suit it best, on the first seed. Takes long.",
        rich_help_panel=WHAT,
    ),
]
TuneTo = Annotated[
    float | None,
    typer.Option(
        metavar="GAP",
        help="Of --tune: best is what comes to this mean gap first; above 0. "
        f"Default: {DEFAULT_TUNE_TO:g}.",
        rich_help_panel=WHAT,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        metavar="PROCESSES",
        help="Runs at the same time, 1 or more; does not change the results. "
        "Default: one for each CPU.",
        rich_help_panel=WHAT,
    ),
]
Shards = Annotated[
    int | None,
    typer.Option(
        metavar="COUNT",
        help="DIGEST: slices of the model that travel apart, 1 or more. Default: 1.",
        rich_help_panel=HOW,
    ),
]
Regions = Annotated[
    int | None,
    typer.Option(
        metavar="COUNT",
        help="DIGEST: parts of the network with streams of their own, from 1 to one "
        "less than there are nodes. Default: 1.",
        rich_help_panel=HOW,
    ),
]
DriftCorrection = Annotated[
    bool | None,
    typer.Option(
        "--drift-correction/--no-drift-correction",
        help="DIGEST: correct each local step for how the node's data differ; "
        "a quarter more bytes. Default: off.",
        rich_help_panel=HOW,
    ),
]
Walk = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="DIGEST: how a stream chooses where to go next: tour, random or metropolis. "
        "Default: tour.",
        rich_help_panel=HOW,
    ),
]
LocalSteps = Annotated[
    int | None,
    typer.Option(
        metavar="STEPS",
        help="Local steps a node makes between two exchanges, 1 or more; DIGEST: at least, "
        "between two visits of a stream, 0 for as fast as links allow. Default: the method's own.",
        rich_help_panel=HOW,
    ),
]
Gate = Annotated[
    bool | None,
    typer.Option(
        "--gate/--no-gate",
        help="DIGEST: nodes contribute no more often than news travels; without it "
        "several regions can diverge. Default: on.",
        rich_help_panel=HOW,
    ),
]
LearningRate = Annotated[
    float | None,
    typer.Option(
        metavar="RATE",
        help="Learning rate, above 0. Default: the scenario's.",
        rich_help_panel=HOW,
    ),
]
Server = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="FedAvg and SCAFFOLD: ideal for a server with a link of its own to each node, "
        "as-node for one with a single link like a node's. Default: ideal.",
        rich_help_panel=HOW,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help='Print only {"results": [...]} to stdout, one entry a method and seed.',
        rich_help_panel=RESULTS,
    ),
]
Trace = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.jsonl",
        help="Write every measurement to this file, one JSON object a line.",
        rich_help_panel=RESULTS,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Write results.json and the charts as charts.svg and charts.png to this folder.",
        rich_help_panel=RESULTS,
    ),
]


def read_seeds(option: str, text: str) -> list[int]:
    """Read different seeds, separated by commas; raises `ConfigError` for all else."""
    return _different(option, text, Range(whole=True, least=0))


def read_counts(option: str, text: str) -> list[int]:
    """Read different counts, separated by commas; raises `ConfigError` for all else."""
    return _different(option, text, Range(whole=True, least=1))


def _different(option: str, text: str, allowed: Range) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    numbers: list[int] = []
    for part in parts:
        number = int(part) if part.isascii() and part.isdigit() else part
        check_number(option, number, allowed)
        if number in numbers:
            raise ConfigError(f"{option} has {number} twice")
        numbers.append(int(number))
    return numbers


def tune_to(tune: bool, gap: float | None) -> float | None:
    """Return the gap that methods are tuned to, None if they are not; `ConfigError` for half."""
    if gap is not None and not tune:
        raise ConfigError("--tune-to needs --tune")
    return (DEFAULT_TUNE_TO if gap is None else gap) if tune else None
