"""A short form of the chaos suite, on real processes with real links; the whole takes an hour."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.result import Result
from tests.chaos.rules import FreezeHolder, InTurn, KillHolders, Partition
from tests.chaos.scenario import Scenario
from tests.chaos.scenarios import SCENARIOS, random_scenario
from tests.chaos.setup import Setup

FEW = Setup(nodes=4, topology="ring", lives=4, step_seconds=0.03)
SEED = 1


def passed(result: Result) -> Result:
    assert result.failure == ""
    assert result.passed
    assert result.double_counted == 0
    return result


def test_the_holder_is_killed_three_times_and_no_step_is_lost_or_counted_twice(
    tmp_path: Path,
) -> None:
    scenario = Scenario(name="kills", setup=FEW, rule=KillHolders(kills=3))

    result = passed(scenario.run(tmp_path))

    assert result.forfeited == 0
    assert result.reissued > 0


def test_a_frozen_holder_wakes_up_and_two_halves_heal(tmp_path: Path) -> None:
    frozen, parted = FreezeHolder(seconds=0.0), Partition(nodes=frozenset({2, 3}), tours=3)
    scenario = Scenario(name="freeze and part", setup=FEW, rule=InTurn((frozen, parted)))

    result = passed(scenario.run(tmp_path))

    assert result.forfeited == 0
    assert result.reissued > 0


def test_a_random_schedule_is_survived(tmp_path: Path) -> None:
    passed(random_scenario(SEED, FEW, "random", tours=20).run(tmp_path))


@pytest.mark.exhaustive
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: str(scenario.name))
def test_every_scenario_passes(scenario: Scenario, tmp_path: Path) -> None:
    passed(scenario.run(tmp_path))
