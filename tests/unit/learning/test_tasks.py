"""What every task must hold: true gradients, and no model depends on the others in a call."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.learning.arrays import Doubles, Floats
from flwr_digest.learning.tasks import MODELS, Task, make_task
from tests.unit.learning.tiny_data import tiny_dataset

DATA = tiny_dataset()
X = DATA.train_x.astype(np.float64)
Y = DATA.train_y

every_model = pytest.mark.parametrize("model", MODELS)


def task_of(model: str, regularization: float = 0.01) -> Task:
    return make_task(model, DATA, hidden=5, regularization=regularization)


def some_models(task: Task, count: int, kind: type = np.float64) -> Floats:
    return np.random.default_rng(1).standard_normal((count, task.size)).astype(kind)


def minibatches(count: int, kind: type = np.float64) -> tuple[Floats, np.ndarray]:
    samples = np.random.default_rng(2).integers(0, len(Y), (count, 6))
    return X[samples].astype(kind), Y[samples]


@every_model
def test_gradients_are_finite_differences_of_losses(model: str) -> None:
    task = task_of(model)
    point = some_models(task, 1)
    step = 1e-6
    steps = step * np.eye(task.size)
    ahead, _ = task.evaluate(point + steps, X, Y)
    behind, _ = task.evaluate(point - steps, X, Y)
    (gradient,) = task.gradients(point, X[np.newaxis], Y[np.newaxis])
    assert gradient == pytest.approx((ahead - behind) / (2 * step), abs=1e-8)


@every_model
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_many_at_once_are_the_same_bytes_as_one_by_one(model: str, kind: type) -> None:
    task = task_of(model)
    models = some_models(task, 7, kind)
    x, y = minibatches(7, kind)
    together = task.gradients(models, x, y)
    alone = [task.gradients(models[i : i + 1], x[i : i + 1], y[i : i + 1]) for i in range(7)]
    assert together.tobytes() == b"".join(gradient.tobytes() for gradient in alone)
    assert together.dtype == kind


@every_model
def test_models_are_evaluated_together_as_one_by_one(model: str) -> None:
    task = task_of(model)
    models = some_models(task, 7)
    losses, accuracies = task.evaluate(models, X, Y)
    for index in range(7):
        loss, accuracy = task.evaluate(models[index : index + 1], X, Y)
        assert losses[index] == pytest.approx(loss[0], rel=1e-12)
        assert accuracies[index] == accuracy[0]


@every_model
def test_float32_is_close_to_float64(model: str) -> None:
    task = task_of(model)
    models = some_models(task, 3)
    narrow = models.astype(np.float32)
    exact, _ = task.evaluate(narrow.astype(np.float64), X, Y)
    losses, accuracies = task.evaluate(narrow, DATA.train_x, Y)
    assert losses == pytest.approx(exact, rel=1e-5)
    assert losses.dtype == accuracies.dtype == np.float64
    x, y = minibatches(3)
    gradients = task.gradients(narrow, x.astype(np.float32), y)
    assert gradients == pytest.approx(task.gradients(models, x, y), abs=1e-4)


@every_model
def test_nothing_that_is_given_is_changed(model: str) -> None:
    task = task_of(model)
    models = some_models(task, 3, np.float32)
    x, y = minibatches(3, np.float32)
    for array in (models, x, y):
        array.setflags(write=False)
    gradients = task.gradients(models, x, y)
    assert not np.shares_memory(gradients, models)
    task.evaluate(models, DATA.train_x, Y)


@every_model
def test_strided_models_are_understood(model: str) -> None:
    task = task_of(model)
    wide = some_models(task, 6)
    x, y = minibatches(3)
    every_other = task.gradients(wide[::2], x, y)
    assert every_other.tobytes() == task.gradients(wide[::2].copy(), x, y).tobytes()


@every_model
def test_the_penalty_is_part_of_loss_and_gradient(model: str) -> None:
    free, tied = task_of(model, 0.0), task_of(model, 0.2)
    models = some_models(free, 2)
    x, y = minibatches(2)
    more = tied.evaluate(models, X, Y)[0] - free.evaluate(models, X, Y)[0]
    assert more == pytest.approx(0.1 * (models**2).sum(axis=1))
    pull = tied.gradients(models, x, y) - free.gradients(models, x, y)
    assert pull == pytest.approx(0.2 * models)


@every_model
def test_plain_descent_learns(model: str) -> None:
    task = task_of(model)
    point: Doubles = task.initial(1).astype(np.float64)[np.newaxis]
    (start,), _ = task.evaluate(point, X, Y)
    for _ in range(200):
        point -= 0.1 * task.gradients(point, X[np.newaxis], Y[np.newaxis])
    (end,), (accuracy,) = task.evaluate(point, X, Y)
    assert end < 0.7 * start
    assert accuracy > 0.8


@every_model
def test_the_start_is_float32_and_decided_by_the_seed(model: str) -> None:
    task = task_of(model)
    one, same = task.initial(1), task.initial(1)
    assert one.shape == (task.size,)
    assert one.dtype == np.float32
    assert one.tobytes() == same.tobytes()


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        task_of("sofmax")
    assert str(caught.value) == (
        "model='sofmax' is unknown: choose from ['least-squares', 'mlp', 'softmax']; "
        "did you mean 'softmax'?"
    )
