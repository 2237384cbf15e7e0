"""Random faults in the simulator: no hang, no step counted twice, none lost without a word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.faults import Cut, Fault, FillDisk, Kill, Leave, Restart, Slow
from tests.chaos.simulated import RUNS, Simulated, outcome_of
from tests.chaos.simulated_case import random_case, slowed
from tests.chaos.simulated_session import WEIGHT, Session
from tests.chaos.simulated_shrink import shrunk

SHORT_RUNS = 40
SHORT_SECONDS = 100.0
MOST_IN_VAIN = 10  # copies that each node sends in vain of each stream, until it knows its links


@pytest.mark.parametrize("seed", range(0, SHORT_RUNS, 5))
def test_random_faults_in_the_simulator_end_well(tmp_path: Path, seed: int) -> None:
    result = Simulated(runs=5, seed=seed, seconds=SHORT_SECONDS).run(tmp_path)
    assert result.passed, result.failure
    assert result.double_counted == 0
    assert result.figures["hangs"] == 0


@pytest.mark.exhaustive
def test_two_hundred_random_schedules_end_well(tmp_path: Path) -> None:
    result = Simulated(runs=RUNS).run(tmp_path)
    assert result.passed, result.failure
    assert result.figures["runs"] == RUNS


@pytest.mark.parametrize("seed", [1, 3, 8, 13])
def test_a_plan_that_believes_in_links_a_hundred_times_faster_does_little_harm(seed: int) -> None:
    case = random_case(seed, SHORT_SECONDS)
    calm = replace(case, schedule=(), scenario=replace(case.scenario, loss=0.0))
    outcome = outcome_of(slowed(calm, 100.0))
    assert not outcome.failure
    assert outcome.counters["reissues"] == 0
    stations = case.nodes * case.streams
    in_vain = outcome.counters["resends"] + outcome.counters["reroutes"]
    assert in_vain <= MOST_IN_VAIN * stations


def test_the_audit_sees_a_step_that_is_counted_twice() -> None:
    session = Session(random_case(3, SHORT_SECONDS))
    session.run()
    kept = next(iter(session.nodes[0].members.values())).kept
    session.audit.check_copy(kept)
    axis = int(kept.model.argmax())
    twice = kept.model.copy()
    twice[axis] += WEIGHT
    with pytest.raises(AssertionError, match="counted twice"):
        session.audit.check_copy(replace(kept, model=twice))


def test_the_same_seed_is_the_same_session() -> None:
    one, other = outcome_of(random_case(3)), outcome_of(random_case(3))
    assert (one.events, one.counters, one.end_seconds) == (
        other.events,
        other.counters,
        other.end_seconds,
    )


def test_the_seeds_have_every_fault_that_a_simulation_knows() -> None:
    kinds = {
        type(fault).__name__ for seed in range(SHORT_RUNS) for fault in random_case(seed).schedule
    }
    assert kinds == {
        "Cut", "FillDisk", "Freeze", "Join", "Kill", "Leave", "Lose", "Part", "Restart", "Slow",
    }  # fmt: skip


def test_a_schedule_shrinks_to_what_it_takes() -> None:
    slow = Slow(at=0.0, node=0, factor=2.0, seconds=1.0)
    kill, restart = Kill(at=1.0, node=1), Restart(at=2.0, node=1)
    full, cut = FillDisk(at=3.0, node=2, seconds=1.0), Cut(at=4.0, link=(0, 1), seconds=1.0)
    leave = Leave(at=5.0, node=3)

    def fails(schedule: tuple[Fault, ...]) -> bool:
        return cut in schedule and (kill in schedule) == (restart in schedule) and full in schedule

    assert shrunk((slow, kill, restart, full, cut, leave), fails) == (full, cut)
