"""`flwr-digest simulate`: one method in one scenario."""

from __future__ import annotations

from typing import Annotated

import typer

from flwr_digest.cli import options
from flwr_digest.cli.notation import Value, parse_one, with_options
from flwr_digest.cli.request import Request, answer
from flwr_digest.cli.runs import chosen_scenario
from flwr_digest.sim.methods import METHODS

Method = Annotated[
    str,
    typer.Option(
        metavar="METHOD",
        help=f"One of {', '.join(METHODS)}; settings after a colon if you like.",
        rich_help_panel=options.WHAT,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        metavar="SEED",
        help="Decides data, network, speeds and draws: a whole number, 0 or more.",
        rich_help_panel=options.WHAT,
    ),
]


def simulate(
    scenario: options.Scenario = options.DEFAULT_SCENARIO,
    method: Method = "digest",
    steps: options.Steps = None,
    seed: Seed = 1,
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
    """Simulate one method: how well, how fast and at how many bytes it learns.

    Example: `flwr-digest simulate --method digest:shards=16,drift-correction --out runs/digest`
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
        choices=with_options([parse_one(method)], given),
        seeds=options.read_seeds("--seed", str(seed)),
        tune_to=options.tune_to(tune, tune_to),
        jobs=jobs,
        json=json,
        trace=trace,
        out=out,
    )
    answer(request)
