"""SCAFFOLD's control variates, and what they are good for."""

from __future__ import annotations

import numpy as np

from flwr_digest.sim.rivals import fedavg, scaffold
from flwr_digest.sim.rivals.fedavg import FedAvg
from flwr_digest.sim.rivals.scaffold import Scaffold
from tests.unit.sim.rivals.builders import (
    FULL_BATCH,
    full_gradients,
    recorder_of,
    settings,
    small,
)


def test_the_servers_variate_is_the_mean_of_the_nodes() -> None:
    for problem in (small(), small(partition="unequal", weighting="by-size")):
        method = Scaffold(problem, 4)
        for _ in range(6):
            method.round(0.05)
            mean = problem.weights @ method.variates
            np.testing.assert_allclose(method.server_variate, mean, rtol=1e-3, atol=1e-4)
        assert np.abs(method.server_variate).max() > 1e-3


def test_the_first_round_is_that_of_fedavg() -> None:
    problem = small()
    with_variates, without = Scaffold(problem, 4), FedAvg(problem, 4)
    with_variates.round(0.05)
    without.round(0.05)
    np.testing.assert_allclose(with_variates.models, without.models, rtol=1e-5, atol=1e-6)


def test_a_nodes_variate_is_its_mean_gradient_of_the_round() -> None:
    problem = small(batch_size=FULL_BATCH)
    method = Scaffold(problem, 1)
    for _ in range(3):
        gradients = full_gradients(problem, method.models)
        method.round(0.05)
        np.testing.assert_allclose(method.variates, gradients, rtol=1e-2, atol=1e-4)


def test_it_comes_to_the_best_model_where_fedavg_drifts() -> None:
    problem = small(batch_size=FULL_BATCH, regularization=0.1)
    method, plain = Scaffold(problem, 10), FedAvg(problem, 10)
    for _ in range(150):
        method.round(0.05)
        plain.round(0.05)
    data = problem.dataset
    models = np.vstack([method.models[:1], plain.models[:1]])
    losses, _ = problem.task.evaluate(models, data.train_x, data.train_y)
    corrected, drifted = losses - problem.best_loss
    assert corrected < 1e-4
    assert drifted > 100 * max(corrected, 1e-6)


def test_it_sends_twice_what_fedavg_sends_in_a_round() -> None:
    problem = small(transfer_seconds=0.0)
    sent = []
    for module in (fedavg, scaffold):
        recorder = recorder_of(problem)
        module.run(problem, settings(local_steps=4), recorder)
        sent.append(recorder.rows[-1].bytes_sent)
    assert sent[1] == 2 * sent[0] > 0
