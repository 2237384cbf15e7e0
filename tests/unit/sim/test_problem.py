"""A scenario and a seed decide everything; the parts fit together."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.learning.arrays import Floats
from flwr_digest.sim.faults import Outage
from flwr_digest.sim.problem import Problem, make_problem
from flwr_digest.sim.scenario import Scenario
from flwr_digest.sim.scenarios import SCENARIOS
from flwr_digest.topology.graphs import build_topology

SMALL = Scenario(name="small", nodes=6, batch_size=4, steps=10)


def bytes_of(problem: Problem) -> bytes:
    """Return all that a run would take from a problem."""
    x, _ = problem.batches().next(np.arange(problem.nodes))
    durations = problem.compute().durations(3, 0, 20)
    floats: list[Floats] = [problem.dataset.train_x, problem.weights, problem.initial, x, durations]
    return b"".join([*(f.tobytes() for f in floats), *(part.tobytes() for part in problem.parts)])


def test_the_same_scenario_and_seed_are_the_same_problem() -> None:
    one, same = make_problem(SMALL, 1), make_problem(SMALL, 1)
    assert bytes_of(one) == bytes_of(same)
    assert (one.neighbors, one.best_loss) == (same.neighbors, same.best_loss)


def test_the_seed_decides() -> None:
    assert bytes_of(make_problem(SMALL, 1)) != bytes_of(make_problem(SMALL, 2))


def test_the_parts_fit_together() -> None:
    problem = make_problem(SMALL, 1)
    assert problem.nodes == len(problem.parts) == len(problem.weights) == 6
    assert sorted(np.concatenate(problem.parts).tolist()) == list(range(1500))
    assert problem.weights.sum() == pytest.approx(1)
    assert problem.neighbors == build_topology("small-world", range(6), 1)
    assert problem.initial.shape == (problem.task.size,)
    x, y = problem.batches().next(np.array([2]))
    assert (x.shape, y.shape) == ((1, 4, 65), (1, 4))


def test_the_bandwidth_is_one_model_in_the_transfer_time() -> None:
    problem = make_problem(replace(SMALL, transfer_seconds=4, latency_seconds=0.5), 1)
    assert problem.model_bytes == 2600
    assert problem.bandwidth_bytes_per_second == 650
    (peer, *_) = problem.neighbors[0]
    assert problem.network().send(0, peer, problem.model_bytes, 0.0) == 4.5


def test_a_transfer_may_take_no_time() -> None:
    problem = make_problem(replace(SMALL, transfer_seconds=0, latency_seconds=0.5), 1)
    (peer, *_) = problem.neighbors[0]
    assert problem.network().send(0, peer, problem.model_bytes, 0.0) == 0.5


def test_faults_reach_the_network() -> None:
    cut = Outage(start_seconds=0, end_seconds=9, nodes=(0,))
    problem = make_problem(replace(SMALL, outages=(cut,)), 1)
    (peer, *_) = problem.neighbors[0]
    assert not problem.network().is_up(0, peer, 5)
    assert problem.network(ideal=True).is_up(0, peer, 5)


def test_an_outage_of_a_link_that_there_is_not_is_refused() -> None:
    ring = replace(SMALL, topology="ring")
    cut = Outage(start_seconds=0, end_seconds=9, links=((0, 3),))
    with pytest.raises(ConfigError, match=r"^outages\.links has \[0, 3\]: the topology has no"):
        make_problem(replace(ring, outages=(cut,)), 1)


def test_what_a_run_uses_up_is_fresh_each_time() -> None:
    problem = make_problem(SMALL, 1)
    everyone = np.arange(6)
    first = problem.batches().next(everyone)[1]
    assert problem.batches().next(everyone)[1].tolist() == first.tolist()
    assert problem.network() is not problem.network()


def test_the_start_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        make_problem(SMALL, 1).initial[0] = 1


def test_more_nodes_than_samples_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        make_problem(replace(SMALL, nodes=1600), 1)
    assert str(caught.value) == (
        "nodes is 1600: there are 1500 training samples, and each node needs one"
    )


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^seed is -1: it must be a whole number of 0 or more$"):
        make_problem(SMALL, -1)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_every_built_in_scenario_can_be_made_and_has_room_below_the_start(name: str) -> None:
    problem = make_problem(SCENARIOS[name], 1)
    assert problem.nodes == SCENARIOS[name].nodes
    data = problem.dataset
    (start,), _ = problem.task.evaluate(problem.initial[np.newaxis], data.train_x, data.train_y)
    assert start > problem.best_loss + 1


def test_what_is_large_is_imported_only_when_it_is_needed() -> None:
    code = """
import sys
import flwr_digest.sim.problem, flwr_digest.sim.scenarios
print(sorted({"flwr", "scipy", "sklearn", "torch"} & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
