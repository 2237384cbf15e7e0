"""A session in the simulator, in unit steps, that comes to an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from flwr_digest.core.effects import Effect, Send
from flwr_digest.core.events import Event, TrainingFinished
from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.core.invariants import UnitWork
from flwr_digest.core.messages import Hop
from flwr_digest.core.node import Node
from flwr_digest.core.rounding import BLOCK_VALUES
from flwr_digest.core.state import StationState, first_state, for_new_session
from flwr_digest.core.vector import Vector
from flwr_digest.learning.datasets import Dataset
from flwr_digest.sim.digest.company import Company
from flwr_digest.sim.digest.participant import Participant
from flwr_digest.sim.digest.plans import FIRST_LIFE, Plans, make_plans
from flwr_digest.sim.digest.program import Item
from flwr_digest.sim.digest.steps import StepTimes
from flwr_digest.sim.digest.world import World
from flwr_digest.sim.methods import Settings
from flwr_digest.sim.problem import Problem
from flwr_digest.topology.graphs import build_topology
from tests.chaos.faults import FillDisk, Kill, Restart
from tests.chaos.simulated_audit import Audit
from tests.chaos.simulated_case import Case
from tests.unit.sim.digest.builders import UnitTask

WAITS = 40
"""Waits as long as the longest fault that a session's end may take, before it is said to hang."""

WEIGHT = 1 / 16  # a power of two, so that sums of unit steps are exact in float32


class HangError(AssertionError):
    """The session has not come to its end within its bounds."""


class _Times(StepTimes):
    """When nodes end their local steps, until they have made them all."""

    def __init__(self, problem: Problem, finishes: Sequence[float]) -> None:
        super().__init__(problem)
        self._finishes = finishes

    def made_by(self, node: int, at: float) -> int:
        return super().made_by(node, min(at, self._finishes[node]))


class _NoReplay:
    """What unit steps do is known without computing it."""

    def note(self, node: int, item: Item) -> None:
        pass


class _Audited(Participant):
    """A node whose steps are unit steps, and whose every event is audited."""

    def __init__(self, audit: Audit, finishes: Sequence[float], node: int, world: World) -> None:
        super().__init__(node, world)
        self._audit, self._id, self._finish_at = audit, NodeId(node), finishes[node]

    def begin(self) -> None:
        super().begin()
        assert self.core is not None
        self._audit.begins(self._id, self.core.states)

    def _states_found(self, now: float) -> dict[StreamId, StationState]:
        states = super()._states_found(now)
        self._audit.begins(self._id, states)
        return states

    def come_back(self, now: float) -> None:
        super().come_back(now)
        if now >= self._finish_at:
            self.finish(now)

    def finish(self, now: float) -> None:
        """End training: all steps are made."""
        if self._frozen_until is not None:
            self._inbox.append(self.finish)
            return
        for shard in range(len(self._taken)):
            self._hand_in(ShardId(shard), now)
        self._happen(TrainingFinished(), now)

    def _take(self, shard: ShardId, made: int, steps: int) -> tuple[Vector, Vector | None]:
        displacement = self._audit.step(self._id, self.life, shard, steps)
        return displacement, displacement if self._drift_correction else None

    def _happen(self, event: Event, now: float) -> None:
        super()._happen(event, now)
        if self.core is not None:
            self._audit.look(self.core, now)

    def _carry_out(self, effect: Effect, now: float) -> None:
        if isinstance(effect, Send) and isinstance(effect.message, Hop):
            assert self.core is not None
            self._audit.count(self.core, now)
            self._audit.check_copy(effect.message.stream)
        super()._carry_out(effect, now)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """Beyond what a session hangs.

    Attributes
    ----------
    seconds : float
        Of simulated time.
    events : int
        Of all nodes.
    """

    seconds: float
    events: int


def longest_fault(case: Case) -> float:
    """Return how long the longest fault is, in seconds; at least a tenth of the session."""
    spans = [float(getattr(fault, "seconds", 0.0)) for fault in case.schedule]
    away = [a.end_seconds - a.start_seconds for a in case.befallen().absences]
    lasting = [span for span in (*spans, *away) if span < case.scenario.seconds]
    return max(lasting, default=0.0) + 0.1 * case.scenario.seconds


def bounds_of(case: Case) -> Bounds:
    """Return what a session may take, by its own time and by how fast its links are.

    The last fault has ended before training does. So the end takes a few tours, and some waits that
    have grown with the faults, doubled a few times in vain. On the way each stream may be at a
    node, or under way, as often as links allow.
    """
    seconds = case.scenario.seconds + WAITS * longest_fault(case)
    events_per_hop = 8  # steps, the hop, its receipt, timers; at gateways for each stream
    hops = case.streams * seconds / case.scenario.latency_seconds
    return Bounds(seconds=seconds, events=int(events_per_hop * hops))


class Session:
    """A simulated session with faults.

    Parameters
    ----------
    case : Case
        What it is made of.

    Attributes
    ----------
    audit : Audit
        What was found, step by step.
    ended_seconds : float or None
        When all nodes that were there had seen the end; None before.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        restarts = sum(isinstance(fault, Restart) for fault in case.schedule)
        lives, settings = case.nodes + restarts, case.settings
        # With drift correction lives are so far apart that each rate is rounded alone.
        apart = BLOCK_VALUES if settings.drift_correction else 1
        problem = _problem(case, lives * apart * settings.shards)
        plans = make_plans(problem, settings)
        if case.believed is not None:
            plans = _with_waits_of(plans, replace(problem, scenario=case.believed), settings)
        works = [UnitWork(lives * apart, WEIGHT, apart) for _ in range(settings.shards)]
        self.audit = Audit(plans.configs[0].streams, works)
        self._company = Company(
            problem,
            replace(plans, states=_first_states(plans, lives * apart)),
            _Times(problem, case.finishes),
            _NoReplay(),
            make=partial(_Audited, self.audit, case.finishes),
        )
        self.ended_seconds: float | None = None

    def run(self) -> None:
        """Run to the end, and audit all the way.

        Raises
        ------
        AssertionError
            An invariant does not hold; `HangError` where there is no end.
        """
        agenda, bounds = self._company.agenda, bounds_of(self._case)
        slice_seconds = self._case.scenario.seconds / 50
        self._begin()
        while not self._over():
            agenda.run_until(agenda.now + slice_seconds)
            if agenda.now > bounds.seconds or self.audit.events > bounds.events:
                raise HangError(self._state())
        self.ended_seconds = agenda.now
        agenda.run_until(agenda.now + self._case.scenario.seconds)  # what is over stays over
        if not self._over():
            raise HangError(f"the session went on after its end: {self._state()}")
        self.audit.check_end(self.nodes)

    @property
    def nodes(self) -> list[Node]:
        """The nodes that are there."""
        return [each.core for each in self._company.participants if each.core is not None]

    def _begin(self) -> None:
        agenda, participants = self._company.agenda, self._company.participants
        for each, at in zip(participants, self._case.finishes, strict=True):
            assert isinstance(each, _Audited)
            agenda.at(at, each.finish)
        self._company.begin()
        killed = {fault.node for fault in self._case.schedule if isinstance(fault, Kill)}
        for fault in self._case.schedule:
            if isinstance(fault, FillDisk) and fault.node in killed:
                agenda.at(fault.at, partial(self._fill, fault.node, True))
                agenda.at(fault.at + fault.seconds, partial(self._fill, fault.node, False))

    def _fill(self, node: int, full: bool, now: float) -> None:
        memory = self._company.participants[node].memory
        assert memory is not None
        memory.full = full

    def _over(self) -> bool:
        return self._company.agenda.now > self._case.scenario.seconds and all(
            node.closed for node in self.nodes
        )

    def _state(self) -> str:
        """Return where each stream is, in words."""
        told = [
            f"{node.config.node_id}/{stream_id}: {station.kept.order}"
            f"{' held' * station.held}{' on its way' * (station.outbound is not None)}"
            f"{' closed' * station.closed}"
            for node in self.nodes
            for stream_id, station in node.members.items()
        ]
        return f"at {self._company.agenda.now:.0f} s: {'; '.join(told)}"


def _problem(case: Case, size: int) -> Problem:
    """Return the links and step times of a case; nothing is computed with the data."""
    scenario = case.befallen()
    nothing = np.zeros((case.nodes, 1), dtype=np.float32)
    labels = np.zeros(case.nodes, dtype=np.int64)
    return Problem(
        scenario=scenario,
        seed=case.seed,
        dataset=Dataset(
            name="nothing",
            train_x=nothing,
            train_y=labels,
            test_x=nothing,
            test_y=labels,
            classes=1,
        ),
        parts=tuple(np.array_split(np.arange(case.nodes), case.nodes)),
        weights=np.full(case.nodes, WEIGHT),
        task=UnitTask(size),
        best_loss=0.0,
        neighbors=build_topology(scenario.topology, range(case.nodes), case.seed),
        initial=np.zeros(size, dtype=np.float32),
    )


def _with_waits_of(plans: Plans, believed: Problem, settings: Settings) -> Plans:
    """Return plans with the first waits of others."""
    first = make_plans(believed, settings).configs[0]
    configs = [
        replace(
            config,
            first_receipt_seconds=first.first_receipt_seconds,
            first_lost_seconds=first.first_lost_seconds,
        )
        for config in plans.configs
    ]
    return replace(plans, configs=tuple(configs))


def _first_states(plans: Plans, size: int) -> dict[StreamId, StationState]:
    """Return first states with models that are known: vectors, not what is computed later."""
    initial = np.zeros(size, dtype=np.float32)
    config = plans.configs[0]
    return {
        stream_id: for_new_session(
            first_state(stream_id, initial, FIRST_LIFE), drift_correction=config.drift_correction
        )
        for stream_id in config.streams
    }
