"""FedAvg is local SGD, averaged by the nodes' weights."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.sim.rivals import fedavg
from flwr_digest.sim.rivals.fedavg import FedAvg
from tests.unit.sim.rivals.builders import (
    FULL_BATCH,
    STEADY,
    descend,
    first_gradients,
    recorder_of,
    settings,
    small,
)


def test_with_one_step_on_all_samples_it_is_gradient_descent() -> None:
    problem = small(batch_size=FULL_BATCH)
    method = FedAvg(problem, 1)
    for _ in range(5):
        method.round(0.05)
    np.testing.assert_allclose(method.models[0], descend(problem, 0.05, 5), rtol=1e-4, atol=1e-6)


def test_with_more_steps_on_data_sorted_by_label_it_is_not() -> None:
    problem = small(batch_size=FULL_BATCH)
    method = FedAvg(problem, 5)
    method.round(0.05)
    assert not np.allclose(method.models[0], descend(problem, 0.05, 5), rtol=1e-2, atol=1e-3)


def test_nodes_count_by_their_weights() -> None:
    problem = small(partition="unequal", weighting="by-size")
    method = FedAvg(problem, 1)
    gradients = first_gradients(problem, method.models)
    method.round(0.05)
    expected = problem.initial - 0.05 * problem.weights @ gradients
    np.testing.assert_allclose(method.models[3], expected, rtol=1e-4, atol=1e-6)


def test_all_nodes_have_the_servers_model() -> None:
    problem = small()
    method = FedAvg(problem, 3)
    method.round(0.05)
    assert np.all(method.models == method.models[0])
    assert np.any(method.models[0] != problem.initial)


@pytest.mark.parametrize(
    ("local_steps", "steps", "models"),
    [
        (1, 6 + 1, 12 * 6 + 12),  # rounds of 6 s: in the seventh the server sends at 39.5 s
        (4, 4 * 4 + 4, 12 * 4 + 6),  # of 9 s: in the fifth the nodes send as the run ends
        (5, 5 * 4, 12 * 4),  # of 10 s
    ],
)
def test_a_round_takes_the_steps_and_a_transfer_each_way(
    local_steps: int, steps: int, models: int
) -> None:
    problem = small(STEADY)
    recorder = recorder_of(problem)
    fedavg.run(problem, settings(local_steps=local_steps), recorder)
    final = recorder.rows[-1]
    assert (final.steps, final.models_sent) == (steps, models)
    assert final.idle_share == pytest.approx(1 - steps / 40)


def test_staleness_is_at_most_a_rounds_local_steps() -> None:
    problem = small(STEADY)
    recorder = recorder_of(problem)
    fedavg.run(problem, settings(local_steps=8), recorder)  # rounds of 13 s
    assert [row.staleness_steps for row in recorder.rows] == [8.0, 7.0, 4.0, 1.0]
