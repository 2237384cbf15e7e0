"""The replay, many nodes at a time, gives what one step after another gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from flwr_digest.core.ids import ShardId
from flwr_digest.errors import LocalProtocolError
from flwr_digest.sim.digest import simulation
from flwr_digest.sim.digest.later import Later
from flwr_digest.sim.digest.models import Models
from flwr_digest.sim.digest.program import GoOnFrom, Item, Take
from flwr_digest.sim.digest.replay import Replay
from flwr_digest.sim.digest.simulation import Simulation
from flwr_digest.sim.digest.steps import StepTimes
from flwr_digest.sim.faults import Absence
from flwr_digest.sim.methods import Settings
from flwr_digest.sim.record import Row
from flwr_digest.sim.rivals.training import LearningRate
from flwr_digest.sim.scenario import Scenario
from tests.unit.sim.digest.builders import SMALL, mean_problem, recorder_of, settings


class AtOnce(Replay):
    """Does everything the moment it is noted, one local step of one node at a time.

    The schedule notes in the order of time, so each model that is needed is known by then.
    """

    def note(self, node: int, item: Item) -> None:
        self._train(node, item.made)
        assert not (isinstance(item, GoOnFrom) and self._has_to_wait(node, item))
        self._carry_out(node, item)

    def run(self, made: Sequence[int], *, to_the_end: bool) -> None:
        for node, steps in enumerate(made):
            self._train(node, steps)

    def _train(self, node: int, made: int) -> None:
        while self._models.made[node] < made:
            self._models.step(np.array([node]), np.array([1]))


def run(scenario: Scenario, chosen: Settings) -> tuple[list[Row], bytes]:
    problem = mean_problem(scenario)
    recorder, simulated = recorder_of(problem), Simulation(problem, chosen)
    simulated.run(recorder)
    return recorder.rows, simulated.models.rows.tobytes()


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    nodes = draw(st.integers(1, 7))
    away = draw(st.lists(st.integers(0, nodes - 1), max_size=2, unique=True))
    return replace(
        SMALL,
        nodes=nodes,
        topology=draw(st.sampled_from(["ring", "star", "small-world"])),
        steps=draw(st.sampled_from([20.0, 40.0])),
        speed_spread=draw(st.sampled_from([0.0, 1.0])),
        loss=draw(st.sampled_from([0.0, 0.2])),
        decay=draw(st.sampled_from([0.0, 0.1])),
        absences=tuple(
            Absence(node=v, start_seconds=5.0 + v, end_seconds=12.0, with_state=draw(st.booleans()))
            for v in away
        ),
    )


@hypothesis_settings(max_examples=20, deadline=None)
@given(
    scenario=scenarios(),
    shards=st.sampled_from([1, 3, 7]),
    regions=st.integers(1, 3),
    local_steps=st.sampled_from([0, 1, 5]),
    drift_correction=st.booleans(),
)
def test_many_at_a_time_give_what_one_after_another_gives(
    scenario: Scenario, shards: int, regions: int, local_steps: int, drift_correction: bool
) -> None:
    chosen = settings(
        shards=shards,
        regions=min(regions, max(1, scenario.nodes - 1)),
        local_steps=local_steps,
        drift_correction=drift_correction,
    )
    with patch.object(simulation, "Replay", AtOnce):
        expected = run(scenario, chosen)
    assert run(scenario, chosen) == expected


def replay_of(nodes: int) -> tuple[Replay, Models]:
    problem = mean_problem(replace(SMALL, nodes=nodes))
    rate, times = LearningRate(problem, settings()), StepTimes(problem)
    models = Models(problem, rate, times, (slice(0, 20),), drift_correction=False)
    return Replay(models), models


def test_a_node_waits_for_what_another_has_to_do_first() -> None:
    replay, models = replay_of(2)
    displacement = Later((20,))
    replay.note(0, GoOnFrom(1, ShardId(0), 2.0 * displacement, None, on_top=False))
    replay.note(1, Take(5, ShardId(0), displacement, None))
    replay.run([1, 6], to_the_end=True)
    assert models.rows[0].tolist() == (2 * displacement.known()).tolist()
    assert models.made.tolist() == [1, 6]


def test_steps_that_few_have_yet_to_make_can_wait_for_the_next_run() -> None:
    replay, models = replay_of(4)
    replay.run([2, 2, 2, 9], to_the_end=False)
    assert models.made.tolist() == [2, 2, 2, 2]
    replay.run([6, 7, 7, 9], to_the_end=False)
    assert models.made.tolist() == [6, 7, 7, 7]
    replay.run([6, 7, 7, 9], to_the_end=True)
    assert models.made.tolist() == [6, 7, 7, 9]


def test_what_others_may_wait_for_is_not_left_to_the_next_run() -> None:
    replay, models = replay_of(4)
    displacement = Later((20,))
    replay.note(3, Take(8, ShardId(0), displacement, None))
    replay.run([2, 2, 2, 9], to_the_end=False)
    assert models.made.tolist() == [2, 2, 2, 8]
    assert displacement.value is not None


def test_what_nobody_computes_is_a_bug() -> None:
    replay, _ = replay_of(2)
    replay.note(0, GoOnFrom(1, ShardId(0), Later((20,)), None, on_top=False))
    with pytest.raises(LocalProtocolError, match="nobody computes"):
        replay.run([2, 2], to_the_end=True)
