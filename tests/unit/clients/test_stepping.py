"""Steps of a loop over arrays meet streams: nothing is lost, and gradients are corrected."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord

from flwr_digest.clients.array_session import InRun
from flwr_digest.clients.record import first_record
from flwr_digest.core.ids import ShardId
from flwr_digest.errors import LocalProtocolError

ONE, TWO = ShardId(0), ShardId(1)
HALVES = [slice(0, 2), slice(2, 3)]


def run(*, drift_correction: bool = False) -> InRun:
    """Return a model of two arrays, (0, 0) and 0, cut in two shards."""
    arrays = ArrayRecord(
        {"w": Array(np.zeros(2, np.float32)), "b": Array(np.zeros((), np.float32))}
    )
    held = InRun(first_record(arrays, life=1))
    held.trainer.divide(HALVES, drift_correction=drift_correction)
    return held


def values(held: InRun) -> list[float]:
    model = held.parameters(0.0)
    return [*np.asarray(model["w"]).tolist(), np.asarray(model["b"]).item()]


def test_news_that_comes_during_a_step_is_kept_beside_the_step() -> None:
    held = run()
    model = held.parameters(0.0)
    held.trainer.rebase(ONE, np.array([10, 20], np.float32), None)
    held.commit({"w": model["w"] + np.float32(1), "b": model["b"]}, 1)
    assert values(held) == [11, 21, 0]
    taken = held.trainer.take(ONE)
    assert taken is not None
    assert (taken.steps, np.asarray(taken.displacement).tolist()) == (1, [1, 1])
    assert taken.gradients is None


def test_the_arrays_are_the_users_own() -> None:
    held = run()
    held.parameters(0.0)["w"][:] = 5
    assert values(held) == [0, 0, 0]


def test_gradients_are_noted_as_they_were_and_come_back_corrected() -> None:
    held = run(drift_correction=True)
    same = held.corrected({"w": np.array([1.0, 2.0])})
    assert same["w"].tolist() == [1, 2]
    assert held.trainer.take(ONE) is None  # a step that is not made yet
    held.commit(held.parameters(0.0), 1)
    held.trainer.rebase(ONE, np.zeros(2, np.float32), np.array([10, 20], np.float32))
    held.trainer.rebase(TWO, np.zeros(1, np.float32), np.array([30], np.float32))
    corrected = held.corrected({"w": np.array([1.0, 2.0]), "b": np.array(3.0)})
    assert corrected["w"].tolist() == [11, 22]
    assert corrected["b"] == 33
    held.commit(held.parameters(0.0), 1)
    taken, other = held.trainer.take(ONE), held.trainer.take(TWO)
    assert taken is not None
    assert other is not None
    assert np.asarray(taken.gradients).tolist() == [2, 4]
    assert np.asarray(other.gradients).tolist() == [3]
    assert (taken.steps, other.steps) == (2, 2)


def test_several_steps_in_one_report_have_as_many_gradients() -> None:
    held = run(drift_correction=True)
    for number in (1.0, 2.0, 3.0):
        held.corrected({"w": np.full(2, number)})
    held.commit(held.parameters(0.0), 3)
    taken = held.trainer.take(ONE)
    assert taken is not None
    assert (taken.steps, np.asarray(taken.gradients).tolist()) == (3, [6, 6])


def test_a_guard_that_trips_ends_all_corrections() -> None:
    held = run(drift_correction=True)
    held.trainer.rebase(ONE, np.zeros(2, np.float32), np.ones(2, np.float32))
    held.trainer.uncorrect()
    assert held.corrected({"w": np.zeros(2)})["w"].tolist() == [0, 0]


def test_a_correction_that_nobody_asked_for_is_a_fault() -> None:
    with pytest.raises(LocalProtocolError):
        run().trainer.rebase(ONE, np.zeros(2, np.float32), np.ones(2, np.float32))


def test_a_stream_is_woken_by_the_reported_steps() -> None:
    held, woken = run(), list[str]()
    held.trainer.wake_after(ONE, 5, lambda: woken.append("now"))
    held.commit(held.parameters(0.0), 4)
    assert woken == []
    held.commit(held.parameters(0.0), 1)
    assert woken == ["now"]
