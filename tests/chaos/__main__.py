"""Runs chaos scenarios, one after the other: ``python -m tests.chaos [--only NAME] [--seed N]``."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tests.chaos.registry import Runnable, all_scenarios
from tests.chaos.result import Result
from tests.chaos.scenario import Scenario
from tests.chaos.scenarios import RANDOM_SESSIONS, random_scenarios
from tests.chaos.summary import figures_of, table_of, write_summary

OUTPUT = Path("runs") / "chaos"


def chosen(only: Sequence[str], seed: int | None) -> list[Runnable]:
    """Return the scenarios that were asked for; all where none was.

    Raises
    ------
    SystemExit
        There is none of that name.
    """
    scenarios = all_scenarios()
    if seed is not None:
        scenarios += random_scenarios(RANDOM_SESSIONS, seed)
    names = [scenario.name for scenario in scenarios]
    for name in only:
        if name not in names:
            near = get_close_matches(name, names)
            raise SystemExit(f"--only {name}: no such scenario; near: {', '.join(near) or names}")
    return [scenario for scenario in scenarios if not only or scenario.name in only]


def run_all(scenarios: Sequence[Runnable], console: Console, output: Path) -> list[Result]:
    """Run scenarios, each in a new folder of its own below `output`."""
    results: list[Result] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        for number, scenario in enumerate(scenarios, start=1):
            task = progress.add_task(f"{number}/{len(scenarios)} {scenario.name}", total=1)
            folder = output / scenario.name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            results.append(scenario.run(folder.resolve()))
            passed = "" if results[-1].passed else " [bold red]failed[/]"
            progress.update(task, completed=1, description=f"{scenario.name}{passed}")
            write_summary(output / "summary.json", results)  # an interrupt loses nothing
    return results


def main() -> int:
    """Run what was asked for; return 1 where something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--seed", type=int, help="more random schedules, from this seed on")
    parser.add_argument("--proxies", action="store_true", help="proxies, even where root")
    asked = parser.parse_args()
    console = Console()
    scenarios = chosen(asked.only, asked.seed)
    if asked.proxies:
        scenarios = [replace(s, proxies=True) if isinstance(s, Scenario) else s for s in scenarios]
    results = run_all(scenarios, console, OUTPUT)
    console.print(table_of(results))
    console.print(figures_of(results))
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
