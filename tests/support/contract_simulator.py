"""The contract's nodes in the simulator: a scenario becomes a timetable of faults, then runs.

The simulator knows no end of a session: it is checked at every measurement, and at the last one all
streams must have been at all nodes that are there since the last fault.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, cast

from flwr_digest.core.ids import NodeId
from flwr_digest.core.invariants import TOLERANCE_STEPS, UnitWork, check_station
from flwr_digest.core.stream import Stream
from flwr_digest.learning.arrays import Floats
from flwr_digest.sim.digest.later import Later
from flwr_digest.sim.digest.participant import Participant
from flwr_digest.sim.digest.simulation import Simulation
from flwr_digest.sim.faults import Absence, Outage
from flwr_digest.sim.problem import Problem
from flwr_digest.sim.record import Recorder
from tests.support.contract import Fault, Setup, leave_out
from tests.unit.sim.digest.builders import STEADY, settings, unit_problem

PHASE_SECONDS = 40.0  # a tour of four nodes takes 3 s, and a lost message 8 at first
LOSS = 0.15
SECONDS_PER_CHECK = 5.0


class Simulated:
    """A company in the simulator; nothing happens before `end`."""

    real_time = False

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._now = 0.0
        self._loss = 0.0
        self._outages: list[Outage] = []
        self._absences: list[Absence] = []
        self._down: dict[tuple[int, int], float] = {}
        self._gone: dict[int, float] = dict.fromkeys(setup.absent, 0.0)

    # --- the timetable ------------------------------------------------------------------------

    def train(self) -> None:
        """See `Company`."""
        self._now += PHASE_SECONDS

    def cut(self, one: int, other: int) -> None:
        """See `Company`."""
        self._down[one, other] = self._now

    def mute(self, one: int, other: int) -> None:
        """See `Company`."""
        leave_out("in the simulator both ends see that a link is down")

    def heal(self, one: int, other: int) -> None:
        """See `Company`."""
        start = self._down.pop((one, other))
        self._outages.append(
            Outage(start_seconds=start, end_seconds=self._now, links=((one, other),))
        )

    def befall(self, fault: Fault) -> None:
        """See `Company`: all kinds of messages get lost; without its receipt a hop comes twice."""
        self._loss = LOSS

    def kill(self, node: int) -> None:
        """See `Company`."""
        self._gone[node] = self._now

    def restart(self, node: int, *, with_state: bool) -> None:
        """See `Company`."""
        start = self._gone.pop(node)
        self._absences.append(
            Absence(node=node, start_seconds=start, end_seconds=self._now, with_state=with_state)
        )

    def leave(self, node: int) -> None:
        """See `Company`."""
        self.kill(node)

    def join(self, node: int) -> None:
        """See `Company`."""
        self.restart(node, with_state=True)

    def intrude(self, node: int, target: int) -> str:
        """See `Company`."""
        leave_out("in the simulator all nodes are honest")
        return ""

    # --- the run ------------------------------------------------------------------------------

    def end(self) -> None:
        """See `Company`."""
        self._last_fault = self._now
        self.train()
        for node in list(self._gone):  # for good
            start = self._gone[node]
            self._absences.append(
                Absence(node=node, start_seconds=start, end_seconds=self._now + 1.0)
            )
        scenario = replace(
            STEADY,
            nodes=self._setup.count,
            topology=self._setup.topology,
            steps=self._now,
            loss=self._loss,
            outages=tuple(self._outages),
            absences=tuple(self._absences),
            measurements=int(self._now / SECONDS_PER_CHECK),
        )
        problem = unit_problem(scenario, self._setup.shards)
        chosen = settings(shards=self._setup.shards, regions=self._setup.regions, local_steps=0)
        self._simulated = Simulation(problem, chosen)
        _Watch(problem, self).run()
        assert self.counts()["forfeited_steps"] == 0

    def run(self, recorder: Recorder) -> None:
        """Run the simulation."""
        self._simulated.run(recorder)

    def check(self, now: float) -> None:
        """Check all copies that are kept at a time."""
        for each in self._participants():
            assert each.core is not None
            for station in each.core.stations.values():
                check_station(station)
                model = cast(Later, station.kept.model).known()
                self._check_copy(replace(station.kept, model=model), station.members, now)

    def _check_copy(self, copy: Stream, members: frozenset[NodeId], now: float) -> None:
        """Check a copy by `UnitWork`; steps of all lives of a node are at one place here."""
        work = UnitWork(self._setup.count, 1 / self._setup.count)
        for node, each in enumerate(self._simulated.participants):
            work.begin(NodeId(node), each.life)
            work.made[NodeId(node), each.life] = each.steps_of_life(now)
            if each.life > 1:
                del work.made[NodeId(node), each.life]
                self._check_lives(work, copy, NodeId(node), each.life)
        work.check_copy(copy, members)

    def _check_lives(self, work: UnitWork, copy: Stream, node: NodeId, life: int) -> None:
        contained, visit = work.contained(copy, node, life), copy.last_visit(node)
        earlier = PHASE_SECONDS * len(self._absences)  # steps of the first life, or more
        assert abs(contained - round(contained)) <= TOLERANCE_STEPS, "in part"
        assert visit.steps - TOLERANCE_STEPS <= contained, "lost"
        assert contained <= visit.steps + (earlier if visit.life == life else 0.5), "twice"

    def _participants(self) -> list[Participant]:
        return [each for each in self._simulated.participants if each.core is not None]

    # --- what came of it ----------------------------------------------------------------------

    def counts(self) -> Counter[str]:
        """See `Company`."""
        return self._simulated.report.counters

    def visited_since(self, node: int) -> bool:
        """See `Company`."""
        each = self._simulated.participants[node]
        assert each.core is not None
        visits = [s.kept.last_visit(NodeId(node)) for s in each.core.members.values()]
        fresh = each.steps_of_life(self._now) - PHASE_SECONDS / 2
        return all(visit.life == each.life and visit.steps > fresh for visit in visits)


class _Watch(Recorder):
    """Checks all copies whenever a measurement is made, when all models are up to date."""

    def __init__(self, problem: Problem, company: Simulated) -> None:
        super().__init__(problem, problem.scenario.seconds)
        self._company = company

    def run(self) -> None:
        """Run the company's simulation to its end."""
        self._company.run(self)

    def measure(self, time: float, models: Floats, **values: Any) -> None:  # noqa: ANN401
        super().measure(time, models, **values)
        self._company.check(time)
