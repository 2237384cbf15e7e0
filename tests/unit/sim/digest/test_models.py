"""What local steps and the protocol do to the models, against the same written out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flwr_digest.core.ids import ShardId
from flwr_digest.learning.arrays import Floats
from flwr_digest.sim.digest.later import Later
from flwr_digest.sim.digest.models import Models
from flwr_digest.sim.digest.program import GoOnFrom, Take
from flwr_digest.sim.digest.steps import StepTimes
from flwr_digest.sim.problem import Problem
from flwr_digest.sim.rivals.training import LearningRate
from tests.unit.sim.digest.builders import SMALL, mean_problem, settings

SLICES = (slice(0, 8), slice(8, 20))
NODE = np.array([2])


def models_of(problem: Problem, *, drift_correction: bool = True) -> Models:
    rate, times = LearningRate(problem, settings()), StepTimes(problem)
    return Models(problem, rate, times, SLICES, drift_correction=drift_correction)


def known(*numbers: float) -> Later:
    return Later((len(numbers),), np.array(numbers, dtype=np.float32))


def taken(models: Models, shard: int, node: int = 2) -> tuple[Floats, Floats]:
    item = Take(0, ShardId(shard), Later((8,)), Later((8,)))
    models.take(node, item)
    assert item.gradients is not None
    return item.displacement.known(), item.gradients.known()


def go_on(models: Models, shard: int, model: Later, correction: Later | None = None) -> None:
    models.go_on_from(2, GoOnFrom(0, ShardId(shard), model, correction, on_top=True))


def gradients_by_hand(problem: Problem, steps: int, correction: Floats) -> list[Floats]:
    """Return the gradients of node 2's first steps, each with a correction, from scratch."""
    model, batches, found = problem.initial[np.newaxis].copy(), problem.batches(), []
    for _ in range(steps):
        gradient = problem.task.gradients(model, *batches.next(NODE))
        found.append(gradient[0])
        model -= np.float32(problem.scenario.learning_rate) * (gradient + correction)
    return found


def test_a_step_is_plain_sgd_of_those_who_step() -> None:
    problem = mean_problem()
    models = models_of(problem)
    models.step(NODE, np.array([3]))
    gradients = gradients_by_hand(problem, 3, np.zeros(20, dtype=np.float32))
    expected = problem.initial - np.float32(0.5) * np.sum(gradients, axis=0)
    np.testing.assert_allclose(models.rows[2], expected, rtol=1e-5, atol=1e-7)
    assert models.made.tolist() == [0, 0, 3, 0, 0]
    assert not models.rows[[0, 1, 3, 4]].any()


def test_a_batch_gives_what_single_steps_give() -> None:
    problem = mean_problem()
    together, one_by_one = models_of(problem), models_of(problem)
    together.step(np.arange(5), np.array([2, 1, 1, 2, 2]))
    together.step(np.array([1, 2]), np.array([1, 1]))
    together.step(np.array([0, 3]), np.array([1, 1]))
    for node, steps in ((3, 3), (0, 3), (1, 2), (4, 2), (2, 2)):
        for _ in range(steps):
            one_by_one.step(np.array([node]), np.array([1]))
    assert together.rows.tobytes() == one_by_one.rows.tobytes()
    assert together.made.tolist() == one_by_one.made.tolist() == [3, 2, 2, 3, 2]


@pytest.mark.parametrize("at_a_time", [1, 2, 3, 7])
def test_steps_do_not_depend_on_how_many_nodes_are_in_the_cache(
    at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = mean_problem()
    whole, in_parts = models_of(problem), models_of(problem)
    for nodes, steps in (([0, 1, 2, 3, 4], [3] * 5), ([0, 2, 3], [1, 3, 2]), ([1, 2, 4], [1] * 3)):
        with monkeypatch.context() as patched:
            whole.step(np.array(nodes), np.array(steps))
            patched.setattr("flwr_digest.sim.digest.models._MOST_NUMBERS", 20 * at_a_time)
            in_parts.step(np.array(nodes), np.array(steps))
    assert in_parts.rows.tobytes() == whole.rows.tobytes()
    assert in_parts.made.tolist() == whole.made.tolist() == [4, 4, 7, 5, 4]
    assert taken(in_parts, 0)[1].tobytes() == taken(whole, 0)[1].tobytes()


def test_a_take_hands_out_what_was_done_to_its_shard_since_the_last() -> None:
    problem = mean_problem()
    models = models_of(problem)
    gradients = gradients_by_hand(problem, 5, np.zeros(20, dtype=np.float32))
    models.step(NODE, np.array([2]))
    moved, summed = taken(models, shard=0)
    np.testing.assert_allclose(summed, np.sum(gradients[:2], axis=0)[:8], rtol=1e-5)
    np.testing.assert_allclose(moved, -0.5 * summed, rtol=1e-5)
    models.step(NODE, np.array([3]))
    moved, summed = taken(models, shard=0)
    np.testing.assert_allclose(summed, np.sum(gradients[2:], axis=0)[:8], rtol=1e-4)
    np.testing.assert_allclose(moved, -0.5 * summed, rtol=1e-4, atol=1e-7)
    moved, summed = taken(models, shard=1)
    np.testing.assert_allclose(summed, np.sum(gradients, axis=0)[8:], rtol=1e-4)


def test_nothing_done_is_nothing_taken() -> None:
    models = models_of(mean_problem())
    models.step(NODE, np.array([1]))
    taken(models, shard=0)
    moved, summed = taken(models, shard=0)
    assert not moved.any()
    assert not summed.any()


def test_without_drift_correction_no_gradients_are_summed() -> None:
    models = models_of(mean_problem(), drift_correction=False)
    models.step(NODE, np.array([2]))
    item = Take(2, ShardId(0), Later((8,)), None)
    models.take(2, item)
    assert item.displacement.known().any()


def test_steps_since_the_last_take_stay_on_top_of_a_rebase() -> None:
    models = models_of(mean_problem())
    models.step(NODE, np.array([2]))
    moved = models.rows[2, :8].copy()
    rest = models.rows[2, 8:].copy()
    go_on(models, 0, known(*range(8)))
    np.testing.assert_allclose(models.rows[2, :8], np.arange(8) + moved, rtol=1e-6)
    assert models.rows[2, 8:].tolist() == rest.tolist()
    np.testing.assert_allclose(taken(models, shard=0)[0], moved, rtol=1e-5)


def test_a_correction_is_added_to_the_gradients_but_not_to_their_sum() -> None:
    problem = mean_problem()
    correction = np.zeros(20, dtype=np.float32)
    correction[:8] = np.linspace(-1, 1, 8)
    models = models_of(problem)
    go_on(models, 0, known(*problem.initial[:8]), known(*correction[:8]))
    models.step(NODE, np.array([3]))
    gradients = gradients_by_hand(problem, 3, correction)
    expected = -0.5 * (np.sum(gradients, axis=0) + 3 * correction)
    np.testing.assert_allclose(models.rows[2], expected, rtol=1e-4, atol=1e-6)
    moved, summed = taken(models, shard=0)
    np.testing.assert_allclose(summed, np.sum(gradients, axis=0)[:8], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(moved, expected[:8], rtol=1e-4, atol=1e-6)


def test_a_correction_stays_until_another_comes() -> None:
    models = models_of(mean_problem())
    go_on(models, 0, known(*[0.0] * 8), known(*[1.0] * 8))
    go_on(models, 0, known(*[0.0] * 8), None)
    uncorrected = models_of(mean_problem())
    models.step(NODE, np.array([1]))
    uncorrected.step(NODE, np.array([1]))
    np.testing.assert_allclose(models.rows[2, :8], uncorrected.rows[2, :8] - 0.5, rtol=1e-5)


def test_the_guard_switches_a_correction_off_for_good() -> None:
    models = models_of(mean_problem())
    corrections = [(-3.0) ** k for k in range(80)]  # swings ever more
    for size in corrections:
        go_on(models, 0, known(*[0.0] * 8), known(*[size] * 8))
    assert [guard.tripped for guard in models.guards] == [False, False, True, False, False]
    uncorrected = models_of(mean_problem())
    models.step(NODE, np.array([2]))
    uncorrected.step(NODE, np.array([2]))
    assert models.rows[2].tobytes() == uncorrected.rows[2].tobytes()


def test_who_forgets_begins_with_the_initial_model_and_nothing_to_give() -> None:
    problem = mean_problem()
    models = models_of(problem)
    go_on(models, 0, known(*range(8)), known(*range(8)))
    models.step(NODE, np.array([2]))
    models.forget(2)
    assert models.rows[2].tobytes() == problem.initial.tobytes()
    moved, summed = taken(models, shard=0)
    assert not moved.any()
    assert not summed.any()
    assert not models.guards[2].changes


def test_the_learning_rate_of_a_step_is_that_of_its_end() -> None:
    fading = mean_problem(replace(SMALL, decay=0.5))
    models, times = models_of(fading), StepTimes(fading)
    models.step(np.array([1, 2]), np.array([2, 2]))
    x, y = fading.batches().next(NODE)
    first = fading.task.gradients(fading.initial[np.newaxis], x, y)[0]
    one = models_of(fading)
    one.step(NODE, np.array([1]))
    rate = 0.5 / (1 + 0.5 * times.end(2, 1))
    np.testing.assert_allclose(one.rows[2], -rate * first, rtol=1e-5)
    one.step(NODE, np.array([1]))
    assert models.rows[2].tobytes() == one.rows[2].tobytes()
    assert rate == pytest.approx(LearningRate(fading, settings()).at(times.end(2, 1)))
