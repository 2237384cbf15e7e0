"""The hand-off between a handler that is called as a whole and an overlay."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.core.ids import ShardId
from flwr_digest.core.layout import Entry, Layout
from flwr_digest.errors import ConfigError, DigestError, LocalProtocolError
from flwr_digest.learning.calls import CallHandoff, Flat

A, B = ShardId(0), ShardId(1)
LAYOUT = Layout((Entry("w", (3,)), Entry("norm.running_var", (1,))))


def vector(*values: float) -> Flat:
    return np.array(values, dtype=np.float32)


def handoff(steps_per_call: int = 1) -> CallHandoff:
    made = CallHandoff(LAYOUT, vector(1, 2, 3, 4), steps_per_call)
    made.divide([slice(0, 2), slice(2, 4)], drift_correction=False)
    return made


def test_each_shard_is_given_its_part_of_a_call_once() -> None:
    calls = handoff()
    assert calls.take(A) is None
    calls.commit(vector(1, 1, 1, 1))
    calls.commit(vector(0, 2, 0, 2))
    taken = calls.take(A)
    assert taken is not None
    assert (taken.steps, taken.displacement.tolist(), taken.gradients) == (2, [1, 3], None)
    assert calls.take(A) is None
    calls.commit(vector(1, 0, 0, 0))
    taken = calls.take(B)
    assert taken is not None
    assert (taken.steps, taken.displacement.tolist()) == (3, [1, 3])


def test_a_call_counts_as_many_steps_as_told() -> None:
    calls = handoff(steps_per_call=7)
    calls.commit(vector(1, 0, 0, 0))
    taken = calls.take(A)
    assert taken is not None
    assert taken.steps == 7


def test_news_that_comes_during_a_call_is_kept_beneath_its_displacement() -> None:
    calls = handoff()
    given = calls.model()
    calls.rebase(A, vector(10, 20), None)
    assert given.tolist() == [1, 2, 3, 4]  # the handler's copy stays as it was
    calls.commit(vector(1, 1, 1, 1))
    assert calls.model().tolist() == [11, 21, 4, 5]


def test_a_rebase_keeps_on_top_what_no_stream_has_taken() -> None:
    calls = handoff()
    calls.commit(vector(1, 1, 1, 1))
    calls.rebase(A, vector(10, 20), None)
    assert calls.model().tolist() == [11, 21, 4, 5]
    assert calls.take(A) is not None
    calls.rebase(A, vector(10, 20), None)
    assert calls.model().tolist() == [10, 20, 4, 5]


def test_variances_stay_at_least_zero_and_what_that_takes_is_work_too() -> None:
    calls = handoff()
    calls.commit(vector(0, 0, 0, -6))
    assert calls.model().tolist() == [1, 2, 3, 0]
    taken = calls.take(B)
    assert taken is not None
    assert taken.displacement.tolist() == [0, -4]


def test_a_wake_comes_when_its_steps_are_made_and_once() -> None:
    calls, woken = handoff(), []
    calls.wake_after(A, 2, lambda: woken.append("two"))
    calls.wake_after(B, 0, lambda: woken.append("none"))
    assert woken == ["none"]
    for expected in (["none"], ["none", "two"], ["none", "two"]):
        calls.commit(vector(0, 0, 0, 0))
        assert woken == expected


def test_the_next_model_awaits_the_visit_that_a_call_has_woken() -> None:
    calls = handoff()
    calls.wake_after(A, 1, lambda: calls.rebase(A, vector(5, 5), None))
    calls.commit(vector(0, 0, 0, 0))
    assert calls.model(patience_seconds=60.0).tolist() == [5, 5, 3, 4]
    calls.wake_after(A, 1, lambda: None)  # nothing comes of it
    calls.commit(vector(0, 0, 0, 0))
    assert calls.model(patience_seconds=0.0).tolist() == [5, 5, 3, 4]


def test_a_dead_overlay_is_raised_where_training_is() -> None:
    calls = handoff()
    calls.fail(DigestError("dead"))
    with pytest.raises(DigestError, match="dead"):
        calls.commit(vector(0, 0, 0, 0))


def test_drift_correction_is_refused_in_one_line() -> None:
    calls = CallHandoff(LAYOUT, vector(1, 2, 3, 4))
    with pytest.raises(ConfigError, match=r"every local step.*needs attach\(model, optimizer\)"):
        calls.divide([slice(None)], drift_correction=True)


def test_our_own_mistakes_are_found() -> None:
    calls = handoff()
    with pytest.raises(LocalProtocolError, match="rebase of"):
        calls.rebase(A, vector(1), None)
    with pytest.raises(LocalProtocolError, match="correction"):
        calls.rebase(A, vector(1, 1), vector(1, 1))
    calls.uncorrect()
    calls.commit(vector(0, 0, 0, 0))
    with pytest.raises(LocalProtocolError, match="divided after 1"):
        calls.divide([slice(None)], drift_correction=False)
