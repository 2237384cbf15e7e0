"""Random simulated sessions: the same seed, the same company, links and faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from flwr_digest.sim.faults import Absence, Freeze, Loss, Outage, Slowdown
from flwr_digest.sim.methods import WALKS, Settings
from flwr_digest.sim.scenario import Scenario
from flwr_digest.topology.graphs import build_topology
from tests.chaos.faults import (
    Cut,
    Fault,
    FillDisk,
    Join,
    Kill,
    Leave,
    Lose,
    Part,
    Restart,
    Schedule,
    Slow,
)
from tests.chaos.faults import (
    Freeze as FreezeFault,
)
from tests.chaos.random_faults import random_schedule

PURPOSE = 0x51317
FOREVER = 1e6  # times as long as a session: who is gone for so long is gone
SESSION_SECONDS = 250.0  # tens of tours, with most links; a local step takes one
LEAST_FINISH = 0.8  # of the session's time, when the first node may have made all its steps
FULL_DISK_CHANCE = 1 / 3  # of a kill: without a state that could not be saved it proves less


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A simulated session and what befalls it.

    Attributes
    ----------
    seed : int
        Decides all that is drawn in the simulation.
    scenario : Scenario
        Nodes and links, without faults.
    settings : Settings
        How DIGEST is set.
    finishes : tuple of float
        For each node by when, in seconds, it has made its local steps.
    schedule : Schedule
        The faults.
    believed : Scenario or None
        What the plan's first waits are made for, where that is not `scenario`.
    """

    seed: int
    scenario: Scenario
    settings: Settings
    finishes: tuple[float, ...]
    schedule: Schedule = field(default=())
    believed: Scenario | None = None

    @property
    def nodes(self) -> int:
        """How many nodes the plan has."""
        return self.scenario.nodes

    @property
    def streams(self) -> int:
        """How many streams there are."""
        return self.settings.shards * self.settings.regions

    def befallen(self) -> Scenario:
        """Return the scenario with all of the schedule that a simulation knows."""
        schedule, forever = self.schedule, self.scenario.seconds * FOREVER
        return replace(
            self.scenario,
            absences=tuple(_absences(schedule, forever)),
            outages=tuple(_outages(schedule)),
            freezes=tuple(
                Freeze(node=f.node, start_seconds=f.at, end_seconds=f.at + f.seconds)
                for f in schedule
                if isinstance(f, FreezeFault)
            ),
            slowdowns=tuple(
                Slowdown(
                    node=f.node, start_seconds=f.at, end_seconds=f.at + f.seconds, factor=f.factor
                )
                for f in schedule
                if isinstance(f, Slow)
            ),
            losses=tuple(
                Loss(
                    start_seconds=f.at, end_seconds=f.at + f.seconds, links=(f.link,), share=f.share
                )
                for f in schedule
                if isinstance(f, Lose)
            ),
        )


def _absences(schedule: Schedule, forever: float) -> Iterator[Absence]:
    """Yield when which nodes are away; who is killed and never restarted, for ever."""
    for number, fault in enumerate(schedule):
        match fault:
            case Join(at=at, node=node):
                yield Absence(node=node, start_seconds=0.0, end_seconds=at)
            case Leave(at=at, node=node):
                yield Absence(node=node, start_seconds=at, end_seconds=at + forever)
            case Kill(at=at, node=node):
                later = (f for f in schedule[number:] if isinstance(f, Restart) and f.node == node)
                back = next(later, Restart(at=at + forever, node=node))
                yield Absence(
                    node=node,
                    start_seconds=at,
                    end_seconds=back.at,
                    with_state=back.with_state,
                    killed=True,
                )


def _outages(schedule: Schedule) -> Iterator[Outage]:
    for fault in schedule:
        match fault:
            case Cut(at=at, link=ends, seconds=seconds):
                yield Outage(start_seconds=at, end_seconds=at + seconds, links=(ends,))
            case Part(at=at, nodes=nodes, seconds=seconds):
                end = at + seconds
                yield Outage(start_seconds=at, end_seconds=end, nodes=tuple(sorted(nodes)))


def random_case(seed: int, seconds: float = SESSION_SECONDS) -> Case:
    """Return the session of a seed: 4 to 12 nodes, linked and set in any way there is."""
    rng = np.random.default_rng([PURPOSE, seed])
    scenario = Scenario(
        name=f"seed {seed}",
        nodes=int(rng.integers(4, 13)),
        topology=str(rng.choice(["ring", "small-world", "complete"])),
        steps=seconds,
        transfer_seconds=float(rng.choice([0.1, 0.5, 2.0])),
        latency_seconds=float(rng.choice([0.05, 0.5])),
        loss=float(rng.choice([0.0, 0.0, 0.05])),
    )
    settings = Settings(
        shards=int(rng.integers(1, 5)),
        regions=int(rng.integers(1, 4)),
        drift_correction=bool(rng.integers(2)),
        walk=str(rng.choice([*WALKS, "tour"])),  # which most have: twice as likely
        gate=bool(rng.integers(2)),
        local_steps=int(rng.choice([0, 2, 10])),
    )
    near = build_topology(scenario.topology, range(scenario.nodes), seed)
    links = [(node, peer) for node in near for peer in near[node] if node < peer]
    schedule = random_schedule(seed, scenario.nodes, links, seconds, int(rng.integers(2, 13)))
    return Case(
        seed=seed,
        scenario=scenario,
        settings=settings,
        finishes=tuple(rng.uniform(LEAST_FINISH * seconds, seconds, scenario.nodes).tolist()),
        schedule=_with_full_disks(schedule, seconds, rng),
    )


def _with_full_disks(schedule: Schedule, seconds: float, rng: np.random.Generator) -> Schedule:
    """Let some nodes' disks be full when they are killed."""
    more: list[Fault] = []
    for kill in schedule:
        if isinstance(kill, Kill) and rng.random() < FULL_DISK_CHANCE:
            before = min(kill.at, float(rng.uniform(0.0, seconds / 20)))
            more.append(FillDisk(at=kill.at - before, node=kill.node, seconds=2 * before))
    return tuple(sorted([*schedule, *more], key=lambda fault: fault.at))


def slowed(case: Case, factor: float) -> Case:
    """Return a session in which all takes so many times as long as its plan believes."""
    scenario = case.scenario
    return replace(
        case,
        scenario=replace(
            scenario,
            step_seconds=scenario.step_seconds * factor,
            transfer_seconds=scenario.transfer_seconds * factor,
            latency_seconds=scenario.latency_seconds * factor,
        ),
        finishes=tuple(at * factor for at in case.finishes),
        schedule=tuple(_later(fault, factor) for fault in case.schedule),
        believed=scenario,
    )


def _later(fault: Fault, factor: float) -> Fault:
    at = fault.at * factor
    match fault:
        case FreezeFault() | Slow() | Cut() | Part() | Lose() | FillDisk():
            return replace(fault, at=at, seconds=fault.seconds * factor)
        case _:
            return replace(fault, at=at)
