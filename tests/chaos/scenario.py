"""A chaos scenario on real processes: a session, what befalls it, and what must hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flwr_digest.core.ids import NodeId
from tests.chaos.agenda import carry_out
from tests.chaos.audit import Audit, end_troubles
from tests.chaos.conductor import Conductor, HangError
from tests.chaos.faults import FillDisk, Join, Lose, Schedule
from tests.chaos.figures import Figures, figures_of, tour_seconds
from tests.chaos.result import Result
from tests.chaos.rules import Rule
from tests.chaos.setup import Setup

WARM_UP_TOURS = 5  # so that nodes and conductor know how long a tour takes


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A session, what befalls it, and what must hold.

    Parameters
    ----------
    name : str
        What it is called.
    setup : Setup
        The session.
    schedule : Schedule
        Faults at times that count in observed tours, once the session is warm.
    rule : callable, optional
        Faults that depend on what the session does; before those of the schedule.
    at_most, at_least : mapping of str to float
        Bounds for figures, and for `forfeited`.
    proxies : bool
        Whether links are to be proxies even where namespaces work.
    seed : int
        Decides what lossy links lose.
    """

    name: str
    setup: Setup = field(default_factory=Setup)
    schedule: Schedule = ()
    rule: Rule | None = None
    at_most: Mapping[str, float] = field(default_factory=dict)
    at_least: Mapping[str, float] = field(default_factory=dict)
    proxies: bool = False
    seed: int = 0

    def run(self, folder: Path) -> Result:
        """Carry it out, and audit what the journals tell."""
        failure, figures = "", Figures()
        with self._conductor(folder) as conductor:
            try:
                figures = self._conduct(conductor)
            except HangError as error:
                failure = str(error)
        return self._judged(conductor, figures, failure)

    def _conductor(self, folder: Path) -> Conductor:
        return Conductor(
            self.setup,
            folder,
            lossy=any(isinstance(fault, Lose) for fault in self.schedule),
            proxies=self.proxies,
            small_disks=any(isinstance(fault, FillDisk) for fault in self.schedule),
            seed=self.seed,
        )

    def _conduct(self, conductor: Conductor) -> Figures:
        late = [NodeId(fault.node) for fault in self.schedule if isinstance(fault, Join)]
        conductor.start_all(*late)
        conductor.await_visits(WARM_UP_TOURS)
        tour, warm = tour_seconds(conductor.seen.arrivals), len(conductor.seen.arrivals) - 1
        figures = {} if self.rule is None else self.rule(conductor)
        carry_out(conductor, self.schedule, tour)
        conductor.settle()
        calm, told = len(conductor.seen.arrivals), conductor.time
        conductor.finish()
        ending = {"ended_after_tours": round((conductor.time - told) / tour, 2)}
        return {**figures, **figures_of(conductor.seen.arrivals[warm:calm], tour), **ending}

    def _judged(self, conductor: Conductor, figures: Figures, failure: str) -> Result:
        found = Audit(self.setup, conductor.journals).run()
        troubles = [failure] if failure else []
        troubles += found.troubles
        if not failure:
            troubles += end_troubles(self.setup, conductor.journals, conductor.staying)
        forfeited = found.total("forfeited_steps")
        figures["network"] = conductor.network.name
        figures["unsaved_states"] = conductor.logged("cannot save its state")
        for name in ("reroutes", "resends", "stale_drops", "lost_deposits"):
            figures[name] = found.total(name)
        if not failure:
            troubles += self._out_of_bounds({**figures, "forfeited": forfeited})
        return Result(
            scenario=self.name,
            passed=not troubles,
            double_counted=found.double_counted,
            forfeited=forfeited,
            reissued=found.total("reissues"),
            figures=figures,
            failure="; ".join(troubles),
        )

    def _out_of_bounds(self, figures: Figures) -> list[str]:
        troubles = []
        for name, bound in self.at_most.items():
            if float(figures[name]) > bound:
                troubles.append(f"{name} is {figures[name]}: at most {bound:g} it must be")
        for name, bound in self.at_least.items():
            if float(figures[name]) < bound:
                troubles.append(f"{name} is {figures[name]}: at least {bound:g} it must be")
        return troubles
