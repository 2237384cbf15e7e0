"""Local steps of all nodes at once."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.sim.rivals.training import LearningRate, Trainer, everywhere, local_steps_of
from tests.unit.sim.rivals.builders import first_gradients, random_models, settings, small


def test_the_settings_decide_the_local_steps_and_else_the_method() -> None:
    assert local_steps_of(settings(local_steps=3), 7) == 3
    assert local_steps_of(settings(), 7) == 7


def test_no_local_step_is_refused() -> None:
    with pytest.raises(ConfigError, match="local_steps is 0"):
        local_steps_of(settings(local_steps=0), 7)


def test_the_learning_rate_falls_with_time() -> None:
    problem = small(decay=0.1)
    assert LearningRate(problem, settings()).at(0.0) == 0.05
    assert LearningRate(problem, settings(learning_rate=0.8)).at(10.0) == pytest.approx(0.4)


def test_gradients_are_each_nodes_own_on_its_next_minibatch() -> None:
    problem, models = small(), random_models(small())
    trainer = Trainer(problem, weighted=False)
    assert trainer.gradients(models).tolist() == first_gradients(problem, models).tolist()
    assert trainer.gradients(models).tolist() != first_gradients(problem, models).tolist()


def test_a_nodes_gradients_do_not_depend_on_which_nodes_ask_with_it() -> None:
    problem, models = small(), random_models(small())
    apart, together = Trainer(problem, weighted=True), Trainer(problem, weighted=True)
    some = np.array([4, 1])
    rows = np.vstack([apart.gradients_of(np.array([v]), models[v : v + 1]) for v in some])
    assert together.gradients_of(some, models[some]).tolist() == rows.tolist()


def test_weighted_gradients_average_to_the_weighted_mean() -> None:
    problem = small(partition="unequal", weighting="by-size")
    models = random_models(problem)
    plain = Trainer(problem, weighted=False).gradients(models)
    scaled = Trainer(problem, weighted=True).gradients(models)
    expected = problem.weights @ plain
    np.testing.assert_allclose(scaled.mean(axis=0), expected, rtol=1e-3, atol=1e-4)


def test_descending_is_steps_along_corrected_gradients() -> None:
    problem, models = small(), random_models(small())
    correction = random_models(problem, seed=1)
    before = models.copy()
    moved = Trainer(problem, weighted=False).descend(models, 0.1, 1, correction)
    gradients = first_gradients(problem, models)
    np.testing.assert_allclose(moved, models - 0.1 * (gradients + correction), rtol=1e-4, atol=1e-5)
    assert models.tolist() == before.tolist()


def test_local_steps_go_on_from_where_the_last_ended() -> None:
    problem, models = small(), random_models(small())
    one, two = Trainer(problem, weighted=False), Trainer(problem, weighted=False)
    twice = one.descend(one.descend(models, 0.05, 1), 0.05, 1)
    assert two.descend(models, 0.05, 2).tolist() == twice.tolist()


def test_one_model_everywhere() -> None:
    model = np.array([1.0, 2.0], dtype=np.float32)
    assert everywhere(model, 3).tolist() == [[1.0, 2.0]] * 3
