"""AD-PSGD: averagings keep the sum, and gradients are of the model that the step began with."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.sim.faults import Absence
from flwr_digest.sim.rivals import ad_psgd
from flwr_digest.sim.rivals.ad_psgd import AdPsgd
from flwr_digest.sim.rivals.training import LearningRate, Trainer
from tests.unit.sim.rivals.builders import STEADY, random_models, recorder_of, settings, small


def method_of(rate: float) -> AdPsgd:
    problem = small()
    return AdPsgd(problem, LearningRate(problem, settings(learning_rate=rate)))


def test_averagings_keep_the_sum_and_come_to_agreement() -> None:
    method = method_of(0.05)
    method.models = random_models(small())
    mean = method.models.mean(axis=0)
    ring = [(float(v), v % 6, (v + 1) % 6) for v in range(300)]
    method.play(ring)
    np.testing.assert_allclose(method.models.mean(axis=0), mean, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(method.models, np.tile(mean, (6, 1)), rtol=1e-2, atol=1e-3)


def test_an_averaging_concerns_two_nodes_only() -> None:
    method = method_of(0.05)
    before = method.models = random_models(small())
    before = before.copy()
    method.play([(1.0, 2, 3)])
    assert method.models[[0, 1, 4, 5]].tolist() == before[[0, 1, 4, 5]].tolist()
    np.testing.assert_allclose(method.models[2], (before[2] + before[3]) / 2, rtol=1e-5)
    assert method.models[2].tolist() == method.models[3].tolist()


def test_a_step_applies_the_gradient_of_where_it_began_to_the_average_since() -> None:
    problem, trainer = small(), Trainer(small(), weighted=True)
    method = method_of(0.05)
    start = np.tile(problem.initial, (6, 1))
    at_start = trainer.gradients(start)
    method.play([(1.0, 0, -1), (2.0, 0, 1), (3.0, 1, -1), (4.0, 0, -1)])
    zero = start[0] - 0.05 * at_start[0]
    after_first = trainer.gradients_of(np.array([0]), zero[np.newaxis])[0]
    average = (zero + start[1]) / 2
    np.testing.assert_allclose(method.models[1], average - 0.05 * at_start[1], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(method.models[0], average - 0.05 * after_first, rtol=1e-4, atol=1e-7)


def test_nodes_never_wait() -> None:
    problem = small(STEADY)
    recorder = recorder_of(problem)
    ad_psgd.run(problem, settings(), recorder)
    assert [(row.steps, row.idle_share) for row in recorder.rows] == [
        (time, 0.0) for time in (10, 20, 30, 40)
    ]
    assert recorder.rows[-1].consensus_distance > 0
    assert recorder.rows[-1].staleness_steps is None


def test_only_an_absence_is_idle_time() -> None:
    away = Absence(node=3, start_seconds=2.5, end_seconds=5.5)
    problem = small(STEADY, absences=(away,))
    recorder = recorder_of(problem)
    ad_psgd.run(problem, settings(), recorder)
    assert recorder.rows[0].steps == pytest.approx((5 * 10 + 7) / 6)
    assert recorder.rows[0].idle_share == pytest.approx(3 / 60)


def test_weights_count() -> None:
    problem = small(partition="unequal", weighting="by-size")
    method = AdPsgd(problem, LearningRate(problem, settings(learning_rate=0.05)))
    method.play([(1.0, node, -1) for node in range(6)])
    gradients = Trainer(problem, weighted=False).gradients(np.tile(problem.initial, (6, 1)))
    expected = problem.initial - 0.05 * problem.weights @ gradients
    np.testing.assert_allclose(method.models.mean(axis=0), expected, rtol=1e-3, atol=1e-6)
