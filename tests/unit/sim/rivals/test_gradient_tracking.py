"""Gradient tracking: the trackers always sum to the sum of the gradients."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.sim.rivals import d_psgd, gradient_tracking
from flwr_digest.sim.rivals.d_psgd import DPsgd
from flwr_digest.sim.rivals.gradient_tracking import GradientTracking, KGradientTracking
from flwr_digest.sim.rivals.training import Trainer
from flwr_digest.topology.mixing import metropolis_weights
from tests.unit.sim.rivals.builders import (
    FULL_BATCH,
    STEADY,
    first_gradients,
    random_models,
    recorder_of,
    settings,
    small,
)


def test_the_trackers_sum_to_the_sum_of_the_gradients() -> None:
    method = GradientTracking(small())
    for _ in range(8):
        method.round(0.05)
        total = method.gradients.sum(axis=0)
        np.testing.assert_allclose(method.trackers.sum(axis=0), total, rtol=1e-3, atol=1e-3)
    assert np.abs(method.trackers - method.gradients).max() > 1e-2


def test_the_first_round_is_a_gradient_step_and_an_averaging() -> None:
    problem = small()
    method = GradientTracking(problem)
    models = method.models = random_models(problem)
    method.round(0.05)
    stepped = models - 0.05 * first_gradients(problem, models)
    expected = metropolis_weights(problem.neighbors) @ stepped
    np.testing.assert_allclose(method.models, expected, rtol=1e-3, atol=1e-5)


def test_the_mean_moves_along_the_mean_tracker() -> None:
    method = GradientTracking(small())
    for _ in range(4):
        mean = method.models.mean(axis=0)
        method.round(0.05)
        expected = mean - 0.05 * method.trackers.mean(axis=0)
        np.testing.assert_allclose(method.models.mean(axis=0), expected, rtol=1e-3, atol=1e-5)


def test_with_local_steps_the_corrections_sum_to_zero() -> None:
    method = KGradientTracking(small(), 4)
    for _ in range(8):
        method.round(0.02)
        total = method.corrections.sum(axis=0)
        np.testing.assert_allclose(total, np.zeros_like(total), atol=1e-3)
    assert np.abs(method.corrections).max() > 1e-2


def test_corrections_act_at_every_local_step() -> None:
    problem = small()
    method = KGradientTracking(problem, 3)
    models = method.models = random_models(problem)
    corrections = random_models(problem, seed=1)
    method.corrections = corrections - corrections.mean(axis=0)
    stepped = Trainer(problem, weighted=True).descend(models, 0.02, 3, method.corrections)
    method.round(0.02)
    expected = metropolis_weights(problem.neighbors) @ stepped
    np.testing.assert_allclose(method.models, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("local_steps", [1, 5])
def test_it_comes_to_the_best_model_where_plain_gossip_drifts(local_steps: int) -> None:
    problem = small(batch_size=FULL_BATCH, regularization=0.1)
    tracking = KGradientTracking(problem, 5) if local_steps > 1 else GradientTracking(problem)
    plain = DPsgd(problem, local_steps)
    for _ in range(1000 // local_steps):
        tracking.round(0.02)
        plain.round(0.02)
    data, task = problem.dataset, problem.task
    tracked, _ = task.evaluate(tracking.models, data.train_x, data.train_y)
    drifted, _ = task.evaluate(plain.models, data.train_x, data.train_y)
    assert tracked.max() - problem.best_loss < 1e-3
    assert drifted.mean() - problem.best_loss > 1e-2


def test_two_vectors_go_over_each_link_and_direction_in_a_round() -> None:
    problem = small(STEADY, transfer_seconds=0.0, latency_seconds=1.0)
    sent = []
    for module in (d_psgd, gradient_tracking):
        recorder = recorder_of(problem)
        module.run(problem, settings(local_steps=3), recorder)
        sent.append(recorder.rows[-1].models_sent)
    assert sent == [12 * 10, 24 * 10]  # rounds of 4 s; the eleventh has sent nothing yet


def test_two_vectors_take_twice_the_time_and_nothing_overlaps() -> None:
    problem = small(STEADY, steps=55.0, measurements=1)
    recorder = recorder_of(problem)
    gradient_tracking.run(problem, settings(), recorder)  # 1 s, 4 s and 0.5 s
    assert recorder.rows[0].steps == 10
