"""The reference: gradient descent without a network."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.sim.rivals import centralised
from tests.unit.sim.rivals.builders import (
    FULL_BATCH,
    SMALL,
    descend,
    recorder_of,
    settings,
    small,
)


@pytest.mark.parametrize("step_seconds", [1.0, 0.3])
def test_on_all_samples_it_is_gradient_descent(step_seconds: float) -> None:
    problem = small(batch_size=FULL_BATCH, step_seconds=step_seconds, steps=10.0, measurements=1)
    recorder = recorder_of(problem)
    centralised.run(problem, settings(), recorder)
    row, model = recorder.rows[0], descend(problem, SMALL.learning_rate, 10)
    data = problem.dataset
    losses, _ = problem.task.evaluate(model[np.newaxis], data.train_x, data.train_y)
    assert row.gap_mean == pytest.approx(losses[0] - problem.best_loss, rel=1e-3)
    assert row.steps == 10


def test_it_steps_all_the_time_and_sends_nothing() -> None:
    problem = small()
    recorder = recorder_of(problem)
    centralised.run(problem, settings(), recorder)
    assert [row.steps for row in recorder.rows] == [10, 20, 30, 40]
    for row in recorder.rows:
        assert (row.bytes_sent, row.idle_share, row.staleness_steps) == (0, 0.0, 0.0)
        assert row.consensus_distance == 0
