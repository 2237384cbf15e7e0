"""All methods by name, how they are set, and each at its best."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from flwr_digest.errors import ConfigError
from flwr_digest.learning.checks import Range, check_name, check_number
from flwr_digest.sim.digest.plans import LOCAL_STEPS as LOCAL_STEPS_OF_DIGEST
from flwr_digest.sim.digest.run import run_digest
from flwr_digest.sim.problem import Problem
from flwr_digest.sim.record import Recorder, Result, Row
from flwr_digest.sim.rivals import (
    ad_psgd,
    centralised,
    d_psgd,
    fedavg,
    gradient_tracking,
    random_walk,
    relay_sum,
    scaffold,
)

WALKS = ("tour", "random", "metropolis")
"""Where a stream goes next."""

SERVERS = ("ideal", "as-node")
"""What the server of FedAvg and SCAFFOLD can do; see `flwr_digest.sim.rivals.server`."""

_COUNT = Range(whole=True, least=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How a method is set. A method takes what it has a use for.

    Attributes
    ----------
    learning_rate : float, optional
        Of the start, above 0. None: the scenario's.
    local_steps : int, optional
        Local steps between two exchanges of a node; of DIGEST: that a node makes between two
        visits of a stream, at least (0: as fast as the links allow). None: the method's own.
    shards, regions : int
        Of DIGEST: in how many parts vector and topology are cut. 1: a single stream.
    drift_correction : bool
        Of DIGEST: whether streams carry control variates. False: as published.
    walk : str
        Of DIGEST: one of `WALKS`. `tour`: comes to all nodes soonest.
    gate : bool
        Of DIGEST: whether nodes contribute only as often as news travels. True: the safe side.
    server : str
        Of FedAvg and SCAFFOLD: one of `SERVERS`. `ideal`: so that no comparison is unfair to them.

    Raises
    ------
    ConfigError
        A value is not allowed; names the field and what is.
    """

    learning_rate: float | None = None
    local_steps: int | None = None
    shards: int = 1
    regions: int = 1
    drift_correction: bool = False
    walk: str = "tour"
    gate: bool = True
    server: str = "ideal"

    def __post_init__(self) -> None:
        """Check every field."""
        if self.learning_rate is not None:
            check_number("learning_rate", self.learning_rate, Range(above=0))
        if self.local_steps is not None:
            check_number("local_steps", self.local_steps, Range(whole=True, least=0))
        check_number("shards", self.shards, _COUNT)
        check_number("regions", self.regions, _COUNT)
        for field in ("drift_correction", "gate"):
            if not isinstance(getattr(self, field), bool):
                raise ConfigError(f"{field} is {getattr(self, field)!r}: it must be true or false")
        check_name("walk", self.walk, WALKS)
        check_name("server", self.server, SERVERS)


Run = Callable[[Problem, Settings, Recorder], None]
"""Runs a method until the recorder has all its measurements."""

LOCAL_STEPS: Mapping[str, int] = {
    "fedavg": fedavg.LOCAL_STEPS,
    "scaffold": scaffold.LOCAL_STEPS,
    "d-psgd": d_psgd.LOCAL_STEPS,
    "gradient-tracking": gradient_tracking.LOCAL_STEPS,
    "ad-psgd": ad_psgd.LOCAL_STEPS,
    "random-walk": random_walk.LOCAL_STEPS,
    "relay-sum": relay_sum.LOCAL_STEPS,
    "digest": LOCAL_STEPS_OF_DIGEST,
}
"""The local steps of the methods that are tuned by them, where the settings do not say."""

METHODS: Mapping[str, Run] = {
    "centralised": centralised.run,
    "fedavg": fedavg.run,
    "scaffold": scaffold.run,
    "d-psgd": d_psgd.run,
    "gradient-tracking": gradient_tracking.run,
    "ad-psgd": ad_psgd.run,
    "random-walk": random_walk.run,
    "relay-sum": relay_sum.run,
    "digest": run_digest,
}
"""All methods by the names that users call them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """What is tried for a method to be at its best.

    Attributes
    ----------
    learning_rates : tuple of float
        Each is tried.
    local_steps : tuple of int
        Each is tried with each learning rate, by methods that are tuned by local steps.
    """

    learning_rates: tuple[float, ...]
    local_steps: tuple[int, ...]

    def of(self, method: str, settings: Settings) -> list[Settings]:
        """Return all settings to be tried; fields that are not in the grid stay as they are."""
        counts = self.local_steps if method in LOCAL_STEPS else (settings.local_steps,)
        return [
            replace(settings, learning_rate=rate, local_steps=count)
            for rate in self.learning_rates
            for count in counts
        ]


GRID = Grid(learning_rates=(0.25, 0.5, 1.0, 2.0), local_steps=(1, 5, 20))
"""The same for all methods. Learning rates: around the 0.5 of the project's first measurements, up
to where the rivals that like it high are at their best (measured). Local steps: as published for
most (1), and what control variates allow (20)."""


def _quiet(share: float) -> None:
    """Tell nobody."""


def run_method(
    problem: Problem,
    method: str,
    settings: Settings,
    progress: Callable[[float], None] = _quiet,
) -> Result:
    """Run a method on a problem for as long as the scenario says.

    Parameters
    ----------
    problem : Problem
        What is learned, by whom, over which links.
    method : str
        One of `METHODS`.
    settings : Settings
        How the method is set.
    progress : callable
        Told now and then which share of the run is done, from 0 to 1.

    Returns
    -------
    Result
        All measurements. A run that diverges has NaN or infinite gaps in them.

    Raises
    ------
    ConfigError
        Unknown method, or a setting that it cannot use.
    """
    check_name("method", method, METHODS)
    settings = _complete(problem, method, settings)
    recorder = Recorder(problem, problem.scenario.seconds, progress)
    with np.errstate(over="ignore", invalid="ignore"):  # to diverge is a result, not an error
        METHODS[method](problem, settings, recorder)
    return Result(
        method=method,
        settings=asdict(settings),
        scenario=problem.scenario.name,
        seed=problem.seed,
        targets=problem.scenario.targets,
        rows=tuple(recorder.rows),
    )


def at_its_best(
    problem: Problem,
    method: str,
    settings: Settings,
    target_gap: float,
    progress: Callable[[float], None] = _quiet,
) -> Settings:
    """Return the settings of the grid with which a method is the first to come to a gap.

    Parameters
    ----------
    problem : Problem
        What is learned; the same is run with each setting.
    method : str
        One of `METHODS`.
    settings : Settings
        What is not in the grid is taken from here.
    target_gap : float
        Above 0; the mean gap over the nodes' models. Of settings that reach it at the same
        measurement, or never, the one with the lowest gap at the end is taken.
    progress : callable
        Told now and then which share of the search is done, from 0 to 1.

    Raises
    ------
    ConfigError
        Unknown method, or a target that is not above 0.
    """
    check_name("method", method, METHODS)
    check_number("target_gap", target_gap, Range(above=0))
    tried = GRID.of(method, settings)
    ranks: list[tuple[float, float]] = []
    for index, candidate in enumerate(tried):

        def tell(share: float, done: int = index) -> None:
            progress((done + share) / len(tried))

        ranks.append(_rank(run_method(problem, method, candidate, tell), target_gap))
    return tried[ranks.index(min(ranks))]


def _complete(problem: Problem, method: str, settings: Settings) -> Settings:
    """Return the settings with what they leave to the scenario and the method filled in."""
    rate, steps = settings.learning_rate, settings.local_steps
    return replace(
        settings,
        learning_rate=problem.scenario.learning_rate if rate is None else rate,
        local_steps=LOCAL_STEPS.get(method) if steps is None else steps,
    )


def _rank(result: Result, target_gap: float) -> tuple[float, float]:
    """Return what to keep low: when the target was reached, then the gap at the end."""
    reached: Row | None = result.reached(target_gap)
    gap = result.final.gap_mean
    return (
        math.inf if reached is None else reached.time_seconds,
        gap if math.isfinite(gap) else math.inf,
    )
