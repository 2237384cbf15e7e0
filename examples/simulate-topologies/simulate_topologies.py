"""Which topology suits DIGEST? The same nodes, data and links, but other neighbors each time.

It needs no Flower, no torch and no network: all of it runs in this process, in simulated time.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from statistics import median

# Before NumPy is loaded: the arrays are small, and threads would cost more than they save.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from flwr_digest.errors import DigestError
from flwr_digest.report.charts import draw
from flwr_digest.report.curves import Curve
from flwr_digest.sim.methods import Settings, run_method
from flwr_digest.sim.problem import make_problem
from flwr_digest.sim.record import Result
from flwr_digest.sim.scenario import Scenario
from flwr_digest.sim.scenarios import load_scenario
from rich.console import Console
from rich.table import Table

TOPOLOGIES = ("path", "ring", "star", "grid", "small-world", "random-regular", "complete")
SCENARIO = "digits-by-label-16"  # 16 nodes that know one or two digits each
SEEDS = (1, 2, 3)  # of each number the table has the median
STEPS = 1500.0  # local steps; after 1,000 the slowest is still on its way (measured)
QUICK_SEEDS = (1,)
QUICK_STEPS = 60.0
TARGET_GAP = 0.05  # comes to within half a percent of the best accuracy (measured)

console = Console()
errors = Console(stderr=True, soft_wrap=True, markup=False)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one topology, with each seed."""

    topology: str
    links: int
    results: Sequence[Result]

    def median(self, field: str) -> float:
        """Return the median of a field of the last measurement."""
        return float(median(getattr(result.final, field) for result in self.results))

    @property
    def seconds_to_target(self) -> float:
        """The median of when the nodes' mean gap came to the target; infinite: never."""
        rows = [result.reached(TARGET_GAP) for result in self.results]
        return median(inf if row is None else row.time_seconds for row in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the topologies; return the exit status."""
    options = read_options(arguments)
    try:
        settings = Settings(shards=options.shards, drift_correction=True)
        scenario = scenario_of(options.scenario, quick=options.quick)
        seeds = QUICK_SEEDS if options.quick else SEEDS
        outcomes = [simulate(scenario, settings, each, seeds) for each in options.topologies]
        write_chart(options.out, scenario, outcomes)
    except DigestError as error:
        errors.print(f"error: {error}")
        return 1
    console.print(table_of(scenario, outcomes))
    console.print(f"Chart: {options.out}", soft_wrap=True, highlight=False)
    return 0


def scenario_of(name: str, *, quick: bool) -> Scenario:
    """Return the scenario by its name, or from a file, for as long as is simulated here."""
    steps = QUICK_STEPS if quick else STEPS
    return replace(load_scenario(name), steps=steps, targets=(TARGET_GAP,))


def simulate(
    scenario: Scenario, settings: Settings, topology: str, seeds: Sequence[int]
) -> Outcome:
    """Let DIGEST run on one topology, with each seed."""
    with console.status(f"{topology} ..."):
        problems = [make_problem(replace(scenario, topology=topology), seed) for seed in seeds]
        results = [run_method(problem, "digest", settings) for problem in problems]
    ends = sum(len(neighbors) for neighbors in problems[0].neighbors.values())
    return Outcome(topology=topology, links=ends // 2, results=results)


def table_of(scenario: Scenario, outcomes: Sequence[Outcome]) -> Table:
    """Return the table, in the order of the topologies."""
    title = f"{scenario.name}: {scenario.nodes} nodes, {scenario.steps:g} local steps"
    table = Table(title=title, title_justify="left")
    table.add_column("topology")
    for heading in ("links", "worst node", "its gap", "sent", f"gap {TARGET_GAP:g} after"):
        table.add_column(heading, justify="right")
    for outcome in outcomes:
        seconds = outcome.seconds_to_target
        table.add_row(
            outcome.topology,
            f"{outcome.links}",
            f"{outcome.median('accuracy_worst'):.3f}",
            f"{outcome.median('gap_worst'):.4f}",
            f"{outcome.median('bytes_sent') / 1e6:.2f} MB",
            "never" if seconds == inf else f"{seconds:.0f} s",
        )
    return table


def write_chart(path: Path, scenario: Scenario, outcomes: Sequence[Outcome]) -> None:
    """Draw gap and accuracy against time and bytes, a curve for each topology."""
    curves = [
        Curve(label=each.topology, runs=[result.rows for result in each.results])
        for each in outcomes
    ]
    [file_format] = formats = [path.suffix.removeprefix(".")]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(draw(f"DIGEST on {scenario.name}", curves, formats)[file_format])


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("topologies", nargs="*", default=TOPOLOGIES, help="which to compare")
    parser.add_argument("--scenario", default=SCENARIO, help="a name, or the path of a .toml file")
    parser.add_argument("--shards", type=int, default=1, help="slices of the model (default: 1)")
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it runs")
    parser.add_argument(
        "--out", type=_chart_path, default=Path("topologies.svg"), help=".svg or .png"
    )
    return parser.parse_args(arguments)


def _chart_path(text: str) -> Path:
    path = Path(text)
    if path.suffix not in (".svg", ".png"):
        raise argparse.ArgumentTypeError(f"{text!r} must end in .svg or .png")
    return path


if __name__ == "__main__":
    raise SystemExit(main())
