"""D-PSGD: averaging keeps the mean, and one gradient step is taken meanwhile."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.sim.rivals import d_psgd
from flwr_digest.sim.rivals.d_psgd import DPsgd
from flwr_digest.sim.rivals.training import Trainer
from flwr_digest.topology.mixing import metropolis_weights
from tests.unit.sim.rivals.builders import (
    STEADY,
    first_gradients,
    random_models,
    recorder_of,
    settings,
    small,
)


@pytest.mark.parametrize("local_steps", [1, 3])
def test_averaging_alone_keeps_the_mean_and_comes_to_agreement(local_steps: int) -> None:
    problem = small()
    method = DPsgd(problem, local_steps)
    method.models = random_models(problem)
    mean = method.models.mean(axis=0)
    for _ in range(60):
        method.round(0.0)
    np.testing.assert_allclose(method.models.mean(axis=0), mean, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(method.models, np.tile(mean, (6, 1)), rtol=1e-2, atol=1e-3)


def test_the_mean_moves_along_the_mean_gradient() -> None:
    for problem in (small(), small(partition="unequal", weighting="by-size")):
        method = DPsgd(problem, 1)
        method.models = random_models(problem)
        mean = method.models.mean(axis=0) - 0.05 * (
            problem.weights @ first_gradients(problem, method.models)
        )
        method.round(0.05)
        np.testing.assert_allclose(method.models.mean(axis=0), mean, rtol=1e-3, atol=1e-4)


def test_as_published_the_gradient_is_of_the_model_before_the_averaging() -> None:
    problem = small()
    method = DPsgd(problem, 1)
    models = method.models = random_models(problem)
    mixing = metropolis_weights(problem.neighbors)
    method.round(0.05)
    expected = mixing @ models - 0.05 * first_gradients(problem, models)
    np.testing.assert_allclose(method.models, expected, rtol=1e-3, atol=1e-5)


def test_with_more_local_steps_what_is_averaged_has_made_them() -> None:
    problem = small()
    method = DPsgd(problem, 3)
    models = method.models = random_models(problem)
    method.round(0.05)
    stepped = Trainer(problem, weighted=True).descend(models, 0.05, 3)
    expected = metropolis_weights(problem.neighbors) @ stepped
    np.testing.assert_allclose(method.models, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("local_steps", "seconds"), [(1, 2.5), (5, 7.5)])
def test_one_step_overlaps_with_the_exchange_and_more_do_not(
    local_steps: int, seconds: float
) -> None:
    problem = small(STEADY, steps=75.0, measurements=1)
    recorder = recorder_of(problem)
    d_psgd.run(problem, settings(local_steps=local_steps), recorder)
    row = recorder.rows[0]
    rounds = 75.0 / seconds
    assert row.steps == rounds * local_steps
    overlapping = local_steps == 1  # then the next round's messages leave at once
    assert row.models_sent == 12 * (rounds + overlapping)
    assert row.idle_share == pytest.approx(1 - row.steps / 75.0)
    assert row.staleness_steps is None
