"""What is to be run, one simulation at a time, and how a method is tuned before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flwr_digest.cli.notation import Choice
from flwr_digest.cli.workers import Tell
from flwr_digest.sim.methods import at_its_best, run_method
from flwr_digest.sim.problem import make_problem
from flwr_digest.sim.record import Result
from flwr_digest.sim.scenario import Scenario
from flwr_digest.sim.scenarios import load_scenario


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One simulation; it can be sent to another process."""

    scenario: Scenario
    choice: Choice
    seed: int

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.choice.label}, seed {self.seed}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """Many simulations that find the settings with which a method is first at a gap."""

    run: Run
    gap: float


def chosen_scenario(name: str, steps: float | None) -> Scenario:
    """Return a scenario by name or file, with another length if `steps` is given.

    Raises
    ------
    ConfigError
        There is no such scenario, or something in it is not allowed.
    """
    scenario = load_scenario(name)
    return scenario if steps is None else replace(scenario, steps=steps)


def all_runs(scenario: Scenario, choices: Sequence[Choice], seeds: Sequence[int]) -> list[Run]:
    """Return every choice with every seed, the seeds of a choice one after the other."""
    return [
        Run(scenario=scenario, choice=choice, seed=seed) for choice in choices for seed in seeds
    ]


def carry_out(run: Run, tell: Tell) -> Result:
    """Simulate one run."""
    problem = make_problem(run.scenario, run.seed)
    return run_method(problem, run.choice.method, run.choice.settings, tell)


def tuned(search: Search, tell: Tell) -> Choice:
    """Return the method with the learning rate and the local steps that suit it best."""
    run = search.run
    problem = make_problem(run.scenario, run.seed)
    best = at_its_best(problem, run.choice.method, run.choice.settings, search.gap, tell)
    found = {"learning_rate": best.learning_rate, "local_steps": best.local_steps}
    known = {name: value for name, value in found.items() if value is not None}
    return Choice(method=run.choice.method, given={**run.choice.given, **known})
