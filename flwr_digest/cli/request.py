"""What was asked for, from the runs to tables, JSON, a trace and charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flwr_digest.cli.consoles import notes_console
from flwr_digest.cli.files import check_file, check_folder, write_all
from flwr_digest.cli.notation import Choice, with_options
from flwr_digest.cli.outputs import check_apart, files_of, show
from flwr_digest.cli.progress import shown
from flwr_digest.cli.runs import Run, Search, all_runs, carry_out, tuned
from flwr_digest.cli.workers import do_all, usable_cpus
from flwr_digest.learning.checks import Range, check_number
from flwr_digest.report.charts import check_matplotlib
from flwr_digest.sim.record import Result
from flwr_digest.sim.scenario import Scenario


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What `simulate` and `compare` were asked for. All is checked before anything runs.

    Attributes
    ----------
    scenario : Scenario
        What is simulated.
    choices : sequence of Choice
        The methods; at least one.
    seeds : sequence of int
        Each method runs with each of them; at least one.
    tune_to : float or None
        If given, each method is tuned on the first seed, so as to be soon at this gap.
    jobs : int or None
        Most processes at a time; None is one for each processor.
    json : bool
        The results as JSON on stdout, instead of tables.
    trace : Path or None
        File for all measurements.
    out : Path or None
        Folder for charts and results.

    Raises
    ------
    ConfigError
        What is not allowed, or cannot be had here.
    """

    scenario: Scenario
    choices: Sequence[Choice]
    seeds: Sequence[int]
    tune_to: float | None
    jobs: int | None
    json: bool
    trace: Path | None
    out: Path | None

    def __post_init__(self) -> None:
        """Check what can be checked before the runs."""
        if self.tune_to is not None:
            check_number("--tune-to", self.tune_to, Range(above=0))
        if self.jobs is not None:
            check_number("--jobs", self.jobs, Range(whole=True, least=1))
        if self.trace is not None:
            check_file("--trace", self.trace)
        if self.out is not None:
            check_folder("--out", self.out)
            check_matplotlib()
        if self.trace is not None and self.out is not None:
            check_apart(self.trace, self.out)

    @property
    def processes(self) -> int:
        """Most processes at a time."""
        return self.jobs or usable_cpus()


def answer(request: Request) -> None:
    """Do what was asked for; nothing is written before all runs have ended.

    Raises
    ------
    DigestError
        A run failed, or what came of it could not be written.
    """
    choices = _at_their_best(request) if request.tune_to is not None else request.choices
    runs = all_runs(request.scenario, choices, request.seeds)
    results = _results(request, runs)
    labels = [run.choice.label for run in runs]
    title = _title(request)
    files = files_of(title, labels, results, trace=request.trace, out=request.out)
    write_all(files)
    show(title, labels, results, json=request.json)
    for path in files:
        notes_console().print(f"wrote {path}")


def _at_their_best(request: Request) -> list[Choice]:
    """Return the methods, each with the settings that suit it best on the first seed."""
    assert request.tune_to is not None
    runs = all_runs(request.scenario, request.choices, request.seeds[:1])
    searches = [Search(run=run, gap=request.tune_to) for run in runs]
    with shown("tuning", [run.name for run in runs], notes_console()) as watcher:
        best = do_all(tuned, searches, request.processes, watcher)
    return with_options(best, {})  # two that have become the same are one


def _results(request: Request, runs: Sequence[Run]) -> list[Result]:
    with shown("simulating", [run.name for run in runs], notes_console()) as watcher:
        return do_all(carry_out, runs, request.processes, watcher)


def _title(request: Request) -> str:
    """Say what all runs have in common."""
    scenario, seeds = request.scenario, request.seeds
    over = f"seed {seeds[0]}" if len(seeds) == 1 else f"medians over {len(seeds)} seeds"
    return f"{scenario.name}: {scenario.nodes} nodes, {scenario.steps:g} local steps, {over}"
