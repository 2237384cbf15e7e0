"""What is measured, when, and what is made of it."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from flwr_digest.errors import LocalProtocolError
from flwr_digest.learning.arrays import Doubles, Floats, Integers
from flwr_digest.sim.problem import Problem
from flwr_digest.sim.record import Recorder, Result, Row
from tests.unit.sim.rivals.builders import SMALL, small

BEST_LOSS = 0.5
ROW = Row(
    time_seconds=10.0,
    steps=9.0,
    gap_mean=0.3,
    gap_worst=0.4,
    gap_of_average=0.2,
    accuracy_mean=0.9,
    accuracy_worst=0.8,
    consensus_distance=0.1,
    models_sent=3.0,
    bytes_sent=12,
    idle_share=0.25,
    staleness_steps=None,
)


class TwoNumbers:
    """A model that says itself what its loss and its accuracy are."""

    def __init__(self) -> None:
        self.evaluated: list[int] = []

    @property
    def size(self) -> int:
        return 2

    def initial(self, seed: int) -> npt.NDArray[np.float32]:
        return np.zeros(2, dtype=np.float32)

    def gradients(self, models: Floats, x: Floats, y: Integers) -> Floats:
        return np.zeros_like(models)

    def evaluate(self, models: Floats, x: Floats, y: Integers) -> tuple[Doubles, Doubles]:
        self.evaluated.append(len(models))
        on_test = len(y) == 297
        said: Doubles = models.astype(np.float64)
        return said[:, 0] + 100 * on_test, said[:, 1] * on_test


def two_numbers(task: TwoNumbers | None = None) -> Problem:
    return replace(small(), task=task or TwoNumbers(), best_loss=BEST_LOSS)


def measured(models: Floats) -> Row:
    recorder = Recorder(two_numbers(), 40.0)
    recorder.measure(10.0, models, bytes_sent=24, idle_share=0.25, steps=7)
    return recorder.rows[0]


def result(method: str = "fedavg", *rows: Row, **settings: Any) -> Result:  # noqa: ANN401
    defaults = {
        "learning_rate": 0.5,
        "local_steps": 5,
        "shards": 4,
        "regions": 2,
        "drift_correction": True,
    }
    return Result(
        method=method,
        settings={**defaults, **settings},
        scenario="small",
        seed=3,
        targets=(0.35, 0.05),
        rows=rows or (ROW,),
    )


def test_measurements_are_due_at_even_distances_up_to_the_end() -> None:
    recorder, due = Recorder(two_numbers(), 40.0), []
    while (time := recorder.next_due) is not None:
        due.append(time)
        recorder.measure(time, np.zeros((6, 2)), bytes_sent=0, idle_share=0, steps=0)
    assert due == [10.0, 20.0, 30.0, 40.0]
    assert [row.time_seconds for row in recorder.rows] == due


def test_nothing_is_due_before_its_time_or_twice() -> None:
    recorder = Recorder(two_numbers(), 40.0)
    assert recorder.due(9.99) is None
    assert recorder.due(10.0) == recorder.due(35.0) == 10.0
    recorder.measure(10.0, np.zeros((6, 2)), bytes_sent=0, idle_share=0, steps=0)
    assert recorder.due(10.0) is None
    assert recorder.due(35.0) == 20.0
    with pytest.raises(LocalProtocolError, match=r"no measurement is due at 10\.0 s"):
        recorder.measure(10.0, np.zeros((6, 2)), bytes_sent=0, idle_share=0, steps=0)


def test_a_late_measurement_stands_for_all_that_were_due() -> None:
    recorder = Recorder(two_numbers(), 40.0)
    recorder.measure(25.0, np.zeros((6, 2)), bytes_sent=0, idle_share=0, steps=0)
    assert recorder.next_due == 30.0


def test_progress_is_told_as_a_share_of_the_run() -> None:
    told: list[float] = []
    recorder = Recorder(two_numbers(), 40.0, told.append)
    while (due := recorder.next_due) is not None:
        recorder.measure(due, np.zeros((6, 2)), bytes_sent=0, idle_share=0, steps=0)
    assert told == [0.25, 0.5, 0.75, 1.0]


def test_gaps_are_of_the_training_data_and_accuracies_of_the_test_data() -> None:
    row = measured(np.array([[1.0, 0.25], [2.0, 0.5], [6.0, 0.75]], dtype=np.float32))
    assert row.gap_mean == pytest.approx(3.0 - BEST_LOSS)
    assert row.gap_worst == pytest.approx(6.0 - BEST_LOSS)
    assert row.gap_of_average == pytest.approx(3.0 - BEST_LOSS)
    assert row.accuracy_mean == pytest.approx(0.5)
    assert row.accuracy_worst == pytest.approx(0.25)


def test_the_average_model_is_measured_too_and_not_the_average_of_the_losses() -> None:
    problem = small()
    models = np.zeros((6, problem.task.size), dtype=np.float32)
    models[0], models[1] = 0.5, -0.5
    recorder = Recorder(problem, 40.0)
    recorder.measure(10.0, models, bytes_sent=0, idle_share=0, steps=0)
    at_zero, _ = problem.task.evaluate(
        models[2:3], problem.dataset.train_x, problem.dataset.train_y
    )
    row = recorder.rows[0]
    assert row.gap_of_average == pytest.approx(at_zero[0] - problem.best_loss)
    assert row.gap_mean > row.gap_of_average + 1.0


def test_the_consensus_distance_is_the_root_mean_square_from_the_mean() -> None:
    row = measured(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]], dtype=np.float32))
    assert row.consensus_distance == pytest.approx(math.sqrt((25 + 0 + 25) / 3))


def test_models_sent_are_bytes_by_the_bytes_of_a_model() -> None:
    row = measured(np.ones((6, 2), dtype=np.float32))
    assert (row.bytes_sent, row.models_sent) == (24, 3.0)
    assert (row.steps, row.idle_share, row.staleness_steps) == (7.0, 0.25, None)


def test_equal_models_are_evaluated_once_with_the_same_outcome() -> None:
    task = TwoNumbers()
    recorder = Recorder(two_numbers(task), 40.0)
    models = np.tile(np.array([1.5, 0.5], dtype=np.float32), (6, 1))
    recorder.measure(10.0, models, bytes_sent=0, idle_share=0, steps=0)
    assert task.evaluated == [2, 2]  # the model and the average, on two data sets
    row = recorder.rows[0]
    assert row.gap_mean == row.gap_worst == row.gap_of_average == 1.0
    assert row.consensus_distance == 0


def test_the_first_measurement_at_or_below_a_target_counts() -> None:
    rows = [replace(ROW, time_seconds=t, gap_mean=g) for t, g in ((1, 0.4), (2, 0.35), (3, 0.1))]
    rows.append(replace(ROW, time_seconds=4, gap_mean=0.5))
    entry = result("fedavg", *rows).to_json()
    assert entry["time_to"] == {"0.35": 2, "0.05": None}
    assert entry["bytes_to"] == {"0.35": 12, "0.05": None}
    assert entry["gap_mean"] == 0.5


def test_an_entry_has_what_the_last_measurement_and_the_settings_say() -> None:
    entry = result("digest").to_json()
    assert {field.name for field in fields(Row)} <= entry.keys()
    assert (entry["method"], entry["scenario"], entry["seed"]) == ("digest", "small", 3)
    assert (entry["learning_rate"], entry["local_steps"]) == (0.5, 5)
    assert (entry["shards"], entry["regions"], entry["drift_correction"]) == (4, 2, True)


def test_rivals_have_no_streams_whatever_the_settings_say() -> None:
    entry = result("d-psgd").to_json()
    assert (entry["shards"], entry["regions"], entry["drift_correction"]) == (None, None, False)


@pytest.mark.parametrize("gap", [math.nan, math.inf])
def test_a_run_that_diverged_is_valid_json(gap: float) -> None:
    diverged = result("fedavg", replace(ROW, gap_mean=gap))
    assert diverged.to_json()["gap_mean"] is None
    assert diverged.to_json()["time_to"] == {"0.35": None, "0.05": None}
    assert diverged.series()["gap_mean"] == [None]
    json.dumps([diverged.to_json(), diverged.series()], allow_nan=False)


def test_a_series_has_each_fields_values_over_time() -> None:
    series = result("fedavg", ROW, replace(ROW, time_seconds=20.0, steps=18.0)).series()
    assert series.keys() == {field.name for field in fields(Row)}
    assert (series["time_seconds"], series["steps"]) == ([10.0, 20.0], [9.0, 18.0])


def test_the_scenario_says_how_often_is_measured() -> None:
    problem = small(measurements=SMALL.measurements * 2)
    assert Recorder(problem, 40.0).next_due == 5.0
