"""A simulated run: every local step in each stream once, bytes and times as the links say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from flwr_digest.core.effects import NoticeKind
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.invariants import UnitWork, check_station
from flwr_digest.core.rounding import cargo_bytes
from flwr_digest.core.stream import Stream
from flwr_digest.learning.arrays import Floats
from flwr_digest.sim.digest import simulation
from flwr_digest.sim.digest.later import Later
from flwr_digest.sim.digest.simulation import Simulation
from flwr_digest.sim.faults import Absence, Freeze, Loss, Outage, Slowdown
from flwr_digest.sim.problem import Problem
from flwr_digest.sim.record import Recorder, Row
from flwr_digest.sim.scenario import Scenario
from tests.unit.sim.digest.builders import (
    SMALL,
    STEADY,
    mean_problem,
    recorder_of,
    settings,
    unit_problem,
)

STREAM = StreamId(0)


class Watch(Recorder):
    """Calls someone whenever a measurement is made, when all models are up to date."""

    def __init__(self, problem: Problem, look: Callable[[float], None]) -> None:
        super().__init__(problem, problem.scenario.seconds)
        self._look = look

    def measure(self, time: float, models: Floats, **values: Any) -> None:  # noqa: ANN401
        super().measure(time, models, **values)
        self._look(time)


def run(problem: Problem, **fields: Any) -> tuple[Simulation, list[Row]]:  # noqa: ANN401
    simulated, recorder = Simulation(problem, settings(**fields)), recorder_of(problem)
    simulated.run(recorder)
    return simulated, recorder.rows


def check_all(simulated: Simulation, problem: Problem, now: float) -> None:
    """Check every copy that a node keeps: it contains each node's steps as often as it says."""
    nodes = problem.nodes
    work = UnitWork(nodes, 1 / nodes)
    for node, each in zip(map(NodeId, range(nodes)), simulated.participants, strict=True):
        work.begin(node, each.life)
        work.made[node, each.life] = each.steps_of_life(now)
    for each in simulated.participants:
        for station in () if each.core is None else each.core.stations.values():
            check_station(station)
            model = cast(Later, station.kept.model).known()
            copy: Stream = replace(station.kept, model=model)
            exact = not station.counters.forfeited_steps
            work.check_copy(copy, station.members, exact=exact)


# --- every local step once ------------------------------------------------------------------------


@st.composite
def faulty(draw: st.DrawFn) -> Scenario:
    nodes = draw(st.integers(2, 6))
    away = draw(st.lists(st.integers(0, nodes - 1), max_size=3, unique=True))
    cut = draw(st.lists(st.integers(0, nodes - 1), max_size=nodes - 1, unique=True))
    return replace(
        SMALL,
        nodes=nodes,
        topology=draw(st.sampled_from(["ring", "path", "complete"])),
        steps=60.0,
        loss=draw(st.sampled_from([0.0, 0.3])),
        outages=(Outage(start_seconds=10, end_seconds=25, nodes=tuple(cut)),) if cut else (),
        absences=tuple(
            Absence(
                node=node,
                start_seconds=draw(st.integers(0, 20)),
                end_seconds=30,
                killed=draw(st.booleans()),
            )
            for node in away
        ),
        freezes=tuple(
            Freeze(node=node, start_seconds=31, end_seconds=draw(st.integers(32, 50)))
            for node in draw(st.lists(st.integers(0, nodes - 1), max_size=2, unique=True))
        ),
        slowdowns=(Slowdown(node=0, start_seconds=5, end_seconds=40, factor=10),),
        losses=(Loss(start_seconds=35, end_seconds=45, links=((0, 1),), share=0.8),),
    )


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    scenario=faulty(),
    shards=st.integers(1, 2),
    regions=st.integers(1, 2),
    local_steps=st.sampled_from([0, 3]),
)
def test_no_local_step_is_lost_or_counted_twice(
    scenario: Scenario, shards: int, regions: int, local_steps: int
) -> None:
    problem = unit_problem(scenario, shards)
    chosen = settings(
        shards=shards, regions=min(regions, scenario.nodes - 1), local_steps=local_steps
    )
    simulated = Simulation(problem, chosen)
    watch = Watch(problem, lambda now: check_all(simulated, problem, now))
    simulated.run(watch)
    assert len(watch.rows) == scenario.measurements


def test_a_node_that_lost_its_state_begins_again_and_takes_part() -> None:
    absence = Absence(node=1, start_seconds=20.0, end_seconds=30.0, with_state=False)
    problem = unit_problem(replace(STEADY, steps=120.0, absences=(absence,)), 1)
    simulated = Simulation(problem, settings(local_steps=0))
    lives: list[tuple[int, int]] = []
    one = simulated.participants[1]
    watch = Watch(problem, lambda now: lives.append((one.life, one.steps_of_life(now))))
    simulated.run(watch)
    assert lives == [(2, 0), (2, 30), (2, 60), (2, 90)]
    for each in simulated.participants:
        assert each.core is not None
        visit = each.core.stations[STREAM].kept.visits[NodeId(1)]
        assert visit.life == 2
        assert visit.steps > 70


def test_a_node_that_keeps_its_state_goes_on_where_it_was() -> None:
    absence = Absence(node=1, start_seconds=20.0, end_seconds=30.0)
    problem = unit_problem(replace(STEADY, steps=120.0, absences=(absence,)), 1)
    simulated = Simulation(problem, settings(local_steps=0))
    own: list[float] = []
    watch = Watch(problem, lambda now: own.append(float(simulated.models.rows[1, 1])))
    simulated.run(watch)
    # Its own steps count a fifth once the stream has them; the rest is on top.
    assert own == sorted(own)
    cores = [each.core for each in simulated.participants if each.core]
    visits = [core.stations[STREAM].kept.visits[NodeId(1)] for core in cores]
    assert [visit.life for visit in visits] == [1] * 5
    assert all(visit.steps > 100 for visit in visits)


def test_a_node_that_is_killed_loses_what_it_had_not_saved_and_no_more() -> None:
    absence = Absence(node=1, start_seconds=23.0, end_seconds=30.0, killed=True)
    problem = unit_problem(replace(STEADY, steps=120.0, absences=(absence,)), 1)
    simulated, _ = run(problem, local_steps=0)
    one = simulated.participants[1]
    lost = 113 - one.steps_of_life(120.0)
    assert one.life == 1
    assert 0 < lost < 10  # a tour takes a few seconds
    for each in simulated.participants:
        assert each.core is not None
        assert each.core.stations[STREAM].kept.visits[NodeId(1)].life == 1
    assert simulated.report.counters["forfeited_steps"] == 0


def test_a_frozen_node_answers_nothing_and_goes_on_with_all_that_has_come() -> None:
    freeze = Freeze(node=1, start_seconds=20.0, end_seconds=60.5)
    problem = unit_problem(replace(STEADY, steps=120.0, freezes=(freeze,)), 1)
    simulated = Simulation(problem, settings(local_steps=0))
    core = simulated.participants[1].core
    assert core is not None
    visits: list[int] = []
    links: list[int] = []

    def look(now: float) -> None:
        visits.append(core.stations[STREAM].counters.visits)
        links.append(len(core.live))

    simulated.run(Watch(replace(problem, scenario=replace(problem.scenario, measurements=6)), look))
    at_20, at_40, at_60, at_80 = visits[:4]
    assert 0 < at_20 == at_40 == at_60
    assert at_80 > at_60
    assert len(set(links)) == 1  # which never went down
    assert simulated.models.made[1] == 79
    assert simulated.report.counters["forfeited_steps"] == 0


def test_a_node_that_comes_late_joins() -> None:
    absence = Absence(node=0, start_seconds=0.0, end_seconds=20.0)
    problem = unit_problem(replace(STEADY, steps=100.0, absences=(absence,)), 5)
    simulated, _ = run(problem, shards=5, local_steps=0)
    for each in simulated.participants:
        assert each.core is not None
        kept = [station.kept for station in each.core.stations.values()]
        assert all(copy.visits[NodeId(0)].steps > 50 for copy in kept)


def test_steps_made_while_nobody_could_be_reached_count_for_the_pace() -> None:
    absence = Absence(node=0, start_seconds=0.0, end_seconds=30.0)
    scenario = replace(STEADY, nodes=2, steps=40.0, absences=(absence,))
    simulated, rows = run(unit_problem(scenario, 1, seed=1), local_steps=3)
    core = simulated.participants[0].core
    assert core is not None
    assert core.stations[STREAM].kept.visits[NodeId(1)].steps >= 30
    assert rows[2].bytes_sent > 0  # it left when the link came, without three steps more


# --- the run as a whole ---------------------------------------------------------------------------


def test_the_same_seed_is_the_same_run_to_the_last_bit() -> None:
    scenario = replace(SMALL, loss=0.1)
    runs = [run(mean_problem(scenario, seed=3), shards=3, drift_correction=True) for _ in (1, 2)]
    (one, rows), (other, same_rows) = runs
    assert rows == same_rows
    assert one.models.rows.tobytes() == other.models.rows.tobytes()
    assert one.report == other.report
    different, _ = run(mean_problem(scenario, seed=4), shards=3, drift_correction=True)
    assert different.models.rows.tobytes() != one.models.rows.tobytes()


def test_the_length_of_the_window_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    one, rows = run(mean_problem(), shards=3)
    monkeypatch.setattr(simulation, "WINDOW_STEPS", 0.7)
    other, same_rows = run(mean_problem(), shards=3)
    assert rows == same_rows
    assert one.models.rows.tobytes() == other.models.rows.tobytes()


def test_a_stream_hops_as_often_as_its_link_allows() -> None:
    problem = mean_problem(replace(STEADY, nodes=2, steps=40.0))
    simulated, rows = run(problem, local_steps=0)
    # It leaves at 0 s, and a hop takes half a second and a latency of a quarter.
    assert simulated.report.counters["hops_sent"] == 54
    assert rows[-1].bytes_sent == 54 * problem.model_bytes
    assert rows[-1].models_sent == 54
    assert rows[0].models_sent == 14


def test_drift_correction_takes_rounded_rates_along() -> None:
    problem = mean_problem(replace(STEADY, nodes=2, steps=40.0))
    simulated, rows = run(problem, local_steps=0, drift_correction=True)
    # Less than 50, as without, and more than the 33 that as many whole numbers would leave.
    assert simulated.report.counters["hops_sent"] == 46
    hop_bytes = cargo_bytes(problem.task.size, rates=True)
    assert rows[-1].models_sent == 46 * hop_bytes / problem.model_bytes


def test_a_shard_takes_its_part_of_the_model() -> None:
    problem = mean_problem(replace(STEADY, nodes=2, steps=40.0))
    simulated, rows = run(problem, local_steps=0, shards=4)
    assert rows[-1].models_sent == simulated.report.counters["hops_sent"] / 4


def test_the_pace_keeps_a_stream_until_the_steps_are_made() -> None:
    problem = mean_problem(replace(STEADY, nodes=2, steps=100.0))
    simulated, _ = run(problem, local_steps=10)
    # The two nodes send it on after 10 steps, at once, after 20 steps, at once, and so on.
    assert simulated.report.counters["hops_sent"] == pytest.approx(20, abs=1)


def test_all_nodes_learn_and_agree() -> None:
    problem = mean_problem(replace(SMALL, steps=200.0, learning_rate=0.05))
    x, y = problem.dataset.train_x, problem.dataset.train_y
    models = np.array([problem.initial, x.mean(axis=0)])
    (first, best), _ = problem.task.evaluate(models, x, y)
    _, rows = run(problem, local_steps=0, shards=4, drift_correction=True)
    assert rows[-1].gap_worst - best < 0.05 * (first - best)
    assert rows[-1].consensus_distance < 0.1 * np.linalg.norm(models[1] - models[0])


def test_steps_and_idle_time_are_those_of_the_clock() -> None:
    absence = Absence(node=2, start_seconds=30.0, end_seconds=45.0)
    _, rows = run(mean_problem(replace(STEADY, absences=(absence,))))
    assert [row.time_seconds for row in rows] == [15, 30, 45, 60]
    assert [row.steps for row in rows] == [15, 30, 42, 57]
    assert [row.idle_share for row in rows] == pytest.approx([0, 0, 15 / 225, 15 / 300])


def test_lost_messages_are_sent_again() -> None:
    simulated, _ = run(mean_problem(replace(SMALL, loss=0.3, steps=200.0)), local_steps=0)
    assert simulated.report.counters["resends"] > 0
    notices = simulated.report.notices
    assert notices[NoticeKind.RESENT] == simulated.report.counters["resends"]
    undisturbed, _ = run(mean_problem(), local_steps=0)
    assert not undisturbed.report.notices


def test_the_counters_of_nodes_that_went_away_are_not_lost() -> None:
    absences = tuple(Absence(node=v, start_seconds=40.0, end_seconds=70.0) for v in range(5))
    simulated, _ = run(mean_problem(replace(STEADY, absences=absences)), local_steps=0)
    until_then, _ = run(mean_problem(replace(STEADY, steps=40.0)), local_steps=0)
    hops = until_then.report.counters["hops_sent"]
    assert simulated.report.counters["hops_sent"] == pytest.approx(hops, abs=1)
    assert hops > 40


# --- the smallest cases ---------------------------------------------------------------------------


@pytest.mark.parametrize("drift_correction", [False, True])
def test_a_single_node_just_trains(drift_correction: bool) -> None:
    problem = unit_problem(replace(STEADY, nodes=1), 3)
    _, rows = run(problem, shards=3, drift_correction=drift_correction)
    assert rows[-1].bytes_sent == 0
    assert rows[-1].staleness_steps is None
    simulated, _ = run(problem, shards=3, drift_correction=drift_correction)
    assert simulated.models.rows.tolist() == [[60.0, 60.0, 60.0]]


def test_two_nodes_share_all_their_steps() -> None:
    simulated, _ = run(unit_problem(replace(STEADY, nodes=2), 1), local_steps=0)
    by_both = simulated.models.rows
    assert (by_both > 28).all()  # half of 60 steps each, less what is under way
    assert (by_both <= 31).all()
