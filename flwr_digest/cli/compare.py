"""`flwr-digest compare`: several methods side by side, on the same data with the same seeds."""

from __future__ import annotations

from typing import Annotated

import typer

from flwr_digest.cli import options
from flwr_digest.cli.notation import Value, parse_methods, with_options
from flwr_digest.cli.request import Request, answer
from flwr_digest.cli.runs import chosen_scenario

DEFAULT_METHODS = (
    "digest",
    "digest:drift-correction",
    "fedavg",
    "scaffold",
    "d-psgd",
    "gradient-tracking",
    "ad-psgd",
    "random-walk",
    "relay-sum",
    "centralised",
)
"""DIGEST as published and with our correction, and every rival as its authors describe it."""

Methods = Annotated[
    list[str] | None,
    typer.Option(
        metavar="METHODS",
        help="Separated by commas, or in several --methods; settings after a colon. See "
        "`flwr-digest simulate --help` for the names. "
        "Default: digest without and with drift correction, and each rival.",
        rich_help_panel=options.WHAT,
    ),
]
Seeds = Annotated[
    str,
    typer.Option(
        metavar="SEEDS",
        help="Each method runs with all of them, 0 or more, separated by commas; the tables show "
        "medians.",
        rich_help_panel=options.WHAT,
    ),
]


def compare(
    scenario: options.Scenario = options.DEFAULT_SCENARIO,
    methods: Methods = None,
    steps: options.Steps = None,
    seeds: Seeds = "1,2,3",
    tune: options.Tune = False,
    tune_to: options.TuneTo = None,
    jobs: options.Jobs = None,
    learning_rate: options.LearningRate = None,
    local_steps: options.LocalSteps = None,
    shards: options.Shards = None,
    regions: options.Regions = None,
    drift_correction: options.DriftCorrection = None,
    walk: options.Walk = None,
    gate: options.Gate = None,
    server: options.Server = None,
    json: options.Json = False,
    trace: options.Trace = None,
    out: options.Out = None,
) -> None:
    """Compare methods: the same data, network and speeds for each, and the same seeds.

    Example: `flwr-digest compare --methods digest:shards=16,drift-correction,fedavg --seeds 1,2`
    """
    given: dict[str, Value | None] = {
        "learning_rate": learning_rate,
        "local_steps": local_steps,
        "shards": shards,
        "regions": regions,
        "drift_correction": drift_correction,
        "walk": walk,
        "gate": gate,
        "server": server,
    }
    request = Request(
        scenario=chosen_scenario(scenario, steps),
        choices=with_options(parse_methods(methods or DEFAULT_METHODS), given),
        seeds=options.read_seeds("--seeds", seeds),
        tune_to=options.tune_to(tune, tune_to),
        jobs=jobs,
        json=json,
        trace=trace,
        out=out,
    )
    answer(request)
