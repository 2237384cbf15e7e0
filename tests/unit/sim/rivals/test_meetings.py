"""When AD-PSGD's nodes step and average, and what can be computed at once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.sim.faults import Outage
from flwr_digest.sim.problem import Problem
from flwr_digest.sim.rivals.clock import Clock
from flwr_digest.sim.rivals.meetings import Event, Meetings, in_waves
from flwr_digest.sim.rivals.post import Post
from tests.unit.sim.rivals.builders import STEADY, small

NODES = 5


def meetings_of(problem: Problem, local_steps: int = 1) -> tuple[Meetings, Post]:
    post = Post(problem.network())
    return Meetings(problem, post, local_steps), post


def averagings(events: list[Event]) -> list[Event]:
    return [event for event in events if event[2] >= 0]


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Steps and averagings in the order of time."""
    nodes = st.integers(0, NODES - 1)
    events: list[Event] = []
    for time in range(draw(st.integers(0, 30))):
        node, other = draw(nodes), draw(nodes)
        events.append((float(time), node, -1 if node == other else other))
    return events


def test_steps_are_those_of_the_clock() -> None:
    problem = small()
    events = meetings_of(problem)[0].until(40.0)
    for node in range(problem.nodes):
        expected = Clock(problem).finishes(node, 0.0, 0, 200)
        steps = [time for time, v, peer in events if v == node and peer < 0]
        assert steps == expected[expected <= 40.0].tolist()


def test_however_it_is_asked_the_same_happens() -> None:
    at_once = meetings_of(small())[0].until(40.0)
    meetings, _ = meetings_of(small())
    assert [event for time in range(0, 41, 4) for event in meetings.until(time)] == at_once
    assert at_once == sorted(at_once)


def test_neighbors_meet_and_all_of_them() -> None:
    problem = small()
    met = {(node, peer) for _, node, peer in averagings(meetings_of(problem)[0].until(200.0))}
    assert met == {(node, peer) for node, near in problem.neighbors.items() for peer in near}


def test_an_averaging_is_a_transfer_after_a_step_and_queues_behind_others() -> None:
    problem = small(STEADY, transfer_seconds=1.8, latency_seconds=0.3)
    events = averagings(meetings_of(problem)[0].until(8.0))
    asked = sorted(time for time, _, _ in events)
    assert asked[0] == pytest.approx(1.0 + 2.1)
    assert {round(time % 1.0, 6) for time in asked} >= {0.1}
    # Two that ask each other at once share the link: the second waits for the first.
    assert any(time == pytest.approx(1.0 + 2 * 1.8 + 0.3) for time in asked)


@pytest.mark.parametrize("local_steps", [1, 3])
def test_a_node_asks_after_its_local_steps_and_once_at_a_time(local_steps: int) -> None:
    problem = small(STEADY, transfer_seconds=0.0, latency_seconds=3.5)
    events = averagings(meetings_of(problem, local_steps)[0].until(60.0))
    for node in range(problem.nodes):
        times = [time for time, v, _ in events if v == node]
        assert all(b - a >= 3.5 for a, b in pairwise(times))
        assert all((time - 3.5) % local_steps == 0 for time in times)
        assert len(times) >= 60 // (3.5 + local_steps) - 1


def test_an_averaging_sends_a_model_in_each_direction() -> None:
    problem = small(STEADY, transfer_seconds=0.0, latency_seconds=3.5)
    meetings, post = meetings_of(problem)
    assert len(averagings(meetings.until(3.0))) == 0
    assert post.bytes_by(3.0) == 2 * 6 * problem.model_bytes  # all nodes ask at 1 s
    done = len(averagings(meetings.until(4.5)))
    assert (done, post.bytes_by(4.5)) == (6, 2 * 6 * problem.model_bytes)
    meetings.until(5.0)
    assert post.bytes_by(5.0) == 4 * 6 * problem.model_bytes


def test_a_neighbor_whose_link_is_down_is_not_asked() -> None:
    cut = Outage(start_seconds=0.0, end_seconds=200.0, links=((0, 1),))
    problem = small(outages=(cut,))
    met = {(node, peer) for _, node, peer in averagings(meetings_of(problem)[0].until(150.0))}
    assert (0, 5) in met
    assert met & {(0, 1), (1, 0)} == set()


def test_a_node_that_is_cut_off_asks_again_when_a_link_is_up() -> None:
    cut = Outage(start_seconds=0.0, end_seconds=30.0, nodes=(0,))
    events = averagings(meetings_of(small(outages=(cut,)))[0].until(60.0))
    times = [time for time, node, peer in events if 0 in (node, peer)]
    assert 30.0 < min(times) < 45.0


@given(events=histories())
def test_no_node_is_in_a_wave_twice(events: list[Event]) -> None:
    for wave in in_waves(events, NODES):
        involved = [*wave.steppers, *(node for pair in wave.pairs for node in pair)]
        assert len(set(involved)) == len(involved) > 0
        assert len(wave.times) == len(wave.steppers)


@given(events=histories())
def test_waves_give_what_one_event_after_another_gives(events: list[Event]) -> None:
    one_by_one, by_waves = (np.arange(1.0, NODES + 1) for _ in range(2))
    for time, node, peer in events:
        if peer < 0:
            one_by_one[node] = 0.9 * one_by_one[node] + time
        else:
            one_by_one[[node, peer]] = one_by_one[[node, peer]].mean()
    for wave in in_waves(events, NODES):
        for node, time in zip(wave.steppers, wave.times, strict=True):
            by_waves[node] = 0.9 * by_waves[node] + time
        for pair in wave.pairs:
            by_waves[list(pair)] = by_waves[list(pair)].mean()
    assert by_waves.tolist() == one_by_one.tolist()
