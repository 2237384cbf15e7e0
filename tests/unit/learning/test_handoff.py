"""Work goes out and news comes in while a model trains; nothing is lost, nobody waits."""

from __future__ import annotations

from functools import partial
from threading import Event, Thread

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from flwr_digest.core.ids import ShardId
from flwr_digest.core.shards import shard_slices
from flwr_digest.errors import LocalProtocolError
from flwr_digest.learning.flat import Echo, FlatModel
from flwr_digest.learning.handoff import Handoff
from flwr_digest.learning.hooks import StepHooks

SHARD = ShardId(0)
LONGEST_SECONDS = 20.0  # no test comes near it, unless something hangs


def bound(*start: float) -> tuple[Handoff, torch.Tensor]:
    handoff, vector = Handoff(), torch.tensor(start)
    handoff.bind(vector)
    return handoff, vector


def step(handoff: Handoff, vector: torch.Tensor, *move: float) -> None:
    handoff.before_step()
    vector += torch.tensor(move)
    handoff.after_step()


def vec(*values: float) -> npt.NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


# --- the algebra --------------------------------------------------------------------------------


def test_before_training_there_is_nothing_to_take() -> None:
    handoff = Handoff()
    before = (handoff.bound, handoff.take(SHARD))
    handoff.bind(torch.zeros(2))
    assert before == (False, None)
    assert (handoff.bound, handoff.take(SHARD)) == (True, None)


def test_take_tells_steps_and_displacement_once() -> None:
    handoff, vector = bound(1.0, 2.0)
    step(handoff, vector, 1.0, 0.0)
    step(handoff, vector, 1.0, -2.0)
    taken = handoff.take(SHARD)
    assert taken is not None
    assert (taken.steps, taken.displacement.tolist()) == (2, [2.0, -2.0])
    assert taken.displacement.dtype == np.float32
    assert handoff.take(SHARD) is None


def test_what_was_taken_stays_as_it_was() -> None:
    handoff, vector = bound(0.0)
    step(handoff, vector, 1.0)
    taken = handoff.take(SHARD)
    step(handoff, vector, 4.0)
    assert taken is not None
    assert taken.displacement.tolist() == [1.0]


def test_a_rebase_waits_for_the_end_of_a_step() -> None:
    handoff, vector = bound(0.0)
    handoff.rebase(SHARD, vec(10.0), None)
    assert vector.tolist() == [0.0]
    step(handoff, vector, 1.0)
    assert vector.tolist() == [11.0]


def test_steps_since_the_last_take_come_on_top_of_a_new_base() -> None:
    handoff, vector = bound(0.0)
    step(handoff, vector, 1.0)
    assert handoff.take(SHARD) is not None
    step(handoff, vector, 2.0)
    handoff.rebase(SHARD, vec(100.0), None)
    step(handoff, vector, 4.0)
    assert vector.tolist() == [106.0]
    taken = handoff.take(SHARD)
    assert taken is not None
    assert (taken.steps, taken.displacement.tolist()) == (2, [6.0])


def test_steps_taken_while_a_rebase_waits_are_kept_too() -> None:
    handoff, vector = bound(0.0)
    step(handoff, vector, 1.0)
    handoff.rebase(SHARD, vec(100.0), None)
    assert handoff.take(SHARD) is not None
    handoff.settle()
    assert vector.tolist() == [101.0]
    assert handoff.take(SHARD) is None


def test_of_two_rebases_the_later_counts() -> None:
    handoff, vector = bound(0.0)
    handoff.rebase(SHARD, vec(5.0), None)
    handoff.rebase(SHARD, vec(7.0), None)
    handoff.settle()
    assert vector.tolist() == [7.0]


def test_a_stream_that_came_before_training_is_where_training_starts() -> None:
    handoff = Handoff()
    handoff.rebase(SHARD, vec(3.0), None)
    handoff.settle()
    vector = torch.zeros(1)
    handoff.bind(vector)
    assert vector.tolist() == [3.0]
    step(handoff, vector, 1.0)
    taken = handoff.take(SHARD)
    assert taken is not None
    assert taken.displacement.tolist() == [1.0]


def test_without_a_step_since_the_vector_becomes_the_new_base_to_the_last_bit() -> None:
    generator = np.random.default_rng(7)
    start = generator.normal(scale=1e4, size=1000).astype(np.float32)
    target = generator.normal(scale=1e-4, size=1000).astype(np.float32)
    vector = torch.from_numpy(start)
    handoff = Handoff()
    handoff.bind(vector)
    handoff.rebase(SHARD, target, None)
    handoff.settle()
    assert np.array_equal(vector.numpy(), target)


def test_rounding_makes_no_displacement_out_of_nothing() -> None:
    handoff, vector = bound(1e8)
    handoff.rebase(SHARD, vec(1e-3), None)
    step(handoff, vector, 0.0)
    taken = handoff.take(SHARD)
    assert taken is not None
    assert taken.displacement.tolist() == [0.0]


def test_what_rounding_kept_back_is_given_with_the_next_steps() -> None:
    handoff, vector = bound(1e8)
    handoff.before_step()
    vector.fill_(1.0)  # 1 - 1e8 is rounded to -1e8
    handoff.after_step()
    first = handoff.take(SHARD)
    step(handoff, vector, 0.0)
    second = handoff.take(SHARD)
    assert first is not None
    assert second is not None
    assert (first.displacement.tolist(), second.displacement.tolist()) == ([-1e8], [1.0])


@pytest.mark.parametrize("writeable", [False, True])
def test_the_posted_model_is_not_changed(writeable: bool) -> None:
    handoff, vector = bound(0.0)
    step(handoff, vector, 1.0)
    model = vec(5.0)  # others keep it
    model.setflags(write=writeable)
    handoff.rebase(SHARD, model, None)
    handoff.take(SHARD)
    step(handoff, vector, 1.0)
    step(handoff, vector, 1.0)
    assert vector.tolist() == [8.0]
    assert model.tolist() == [5.0]


def test_a_model_of_another_size_is_our_own_mistake() -> None:
    handoff, _ = bound(0.0, 0.0)
    handoff.rebase(SHARD, vec(1.0), None)
    with pytest.raises(LocalProtocolError, match="rebase of"):
        handoff.settle()


def test_repair_comes_after_each_step_and_each_move_and_counts_as_displacement() -> None:
    vector = torch.tensor([1.0, 1.0])
    handoff = Handoff()
    handoff.bind(vector, repair=lambda: clamp(vector))
    step(handoff, vector, -3.0, 0.0)
    assert vector.tolist() == [0.0, 1.0]
    taken = handoff.take(SHARD)
    assert taken is not None
    assert taken.displacement.tolist() == [-1.0, 0.0]
    handoff.rebase(SHARD, vec(-2.0, 5.0), None)
    handoff.settle()
    assert vector.tolist() == [0.0, 5.0]
    step(handoff, vector, 0.0, 0.0)
    taken = handoff.take(SHARD)
    assert taken is not None
    assert taken.displacement.tolist() == [2.0, 0.0]


def clamp(vector: torch.Tensor) -> None:
    vector.clamp_(min=0.0)


# --- shards -------------------------------------------------------------------------------------


def divided(*start: float, shards: int) -> tuple[Handoff, torch.Tensor]:
    handoff, vector = Handoff(), torch.tensor(start)
    handoff.divide(shard_slices(len(start), shards), drift_correction=False)
    handoff.bind(vector)
    return handoff, vector


def taken_from(handoff: Handoff, shard: int) -> tuple[int, list[float]] | None:
    taken = handoff.take(ShardId(shard))
    return None if taken is None else (taken.steps, taken.displacement.tolist())


def test_each_shard_is_taken_by_itself() -> None:
    handoff, vector = divided(0.0, 0.0, 0.0, shards=2)
    step(handoff, vector, 1.0, 2.0, 4.0)
    assert taken_from(handoff, 1) == (1, [4.0])
    step(handoff, vector, 1.0, 2.0, 4.0)
    assert taken_from(handoff, 0) == (2, [2.0, 4.0])
    assert taken_from(handoff, 1) == (1, [4.0])
    assert taken_from(handoff, 1) is None


def test_a_rebase_moves_its_shard_only() -> None:
    handoff, vector = divided(0.0, 0.0, 0.0, shards=2)
    step(handoff, vector, 1.0, 2.0, 4.0)
    handoff.rebase(ShardId(1), vec(100.0), None)
    handoff.settle()
    assert vector.tolist() == [1.0, 2.0, 104.0]
    assert taken_from(handoff, 0) == (1, [1.0, 2.0])


def test_the_session_may_begin_after_the_training_loop() -> None:
    handoff, vector = bound(0.0, 0.0)
    handoff.divide(shard_slices(2, 2), drift_correction=True)
    step(handoff, vector, 1.0, 2.0)
    taken = handoff.take(ShardId(1))
    assert taken is not None
    assert taken.displacement.tolist() == [2.0]
    assert taken.gradients is not None
    assert taken.gradients.tolist() == [0.0]


def test_dividing_work_that_was_done_is_our_own_mistake() -> None:
    handoff, vector = bound(0.0, 0.0)
    step(handoff, vector, 1.0, 2.0)
    with pytest.raises(LocalProtocolError, match="divided after 1 local steps"):
        handoff.divide(shard_slices(2, 2), drift_correction=False)


def test_an_echo_in_another_shard_is_moved_by_steps_and_not_by_rebases() -> None:
    """Both streams must get every step of a tied weight once, so that they end alike."""
    vector, handoff = torch.zeros(2), Handoff()
    home, echo = slice(0, 1), slice(1, 2)
    handoff.divide([home, echo], drift_correction=False)

    def repair() -> None:
        vector[echo] = vector[home]

    handoff.bind(vector, repair, [Echo(echo=echo, home=home)])
    step(handoff, vector, 1.0, 0.0)
    assert taken_from(handoff, 0) == (1, [1.0])
    handoff.rebase(ShardId(0), vec(10.0), None)
    step(handoff, vector, 2.0, 0.0)
    assert vector.tolist() == [12.0, 12.0]
    assert taken_from(handoff, 1) == (2, [3.0])
    handoff.rebase(ShardId(1), vec(50.0), None)
    handoff.settle()
    assert vector.tolist() == [12.0, 12.0]
    step(handoff, vector, 4.0, 0.0)
    assert taken_from(handoff, 0) == (2, [6.0])
    assert taken_from(handoff, 1) == (1, [4.0])


# --- waking -------------------------------------------------------------------------------------


def test_a_wake_that_is_due_comes_at_once() -> None:
    handoff, vector = bound(0.0)
    calls: list[int] = []
    step(handoff, vector, 1.0)
    handoff.wake_after(SHARD, 1, lambda: calls.append(1))
    assert calls == [1]
    handoff.wake_after(SHARD, 0, lambda: calls.append(0))
    assert calls == [1, 0]


def test_a_wake_that_is_not_due_comes_with_the_last_missing_step_and_once() -> None:
    handoff, vector = bound(0.0)
    calls: list[int] = []
    handoff.wake_after(SHARD, 2, lambda: calls.append(1))
    step(handoff, vector, 1.0)
    assert calls == []
    step(handoff, vector, 1.0)
    assert calls == [1]
    step(handoff, vector, 1.0)
    assert calls == [1]


def test_a_wake_counts_from_the_last_take() -> None:
    handoff, vector = bound(0.0)
    calls: list[int] = []
    step(handoff, vector, 1.0)
    handoff.take(SHARD)
    handoff.wake_after(SHARD, 1, lambda: calls.append(1))
    assert calls == []
    step(handoff, vector, 1.0)
    assert calls == [1]


def test_a_take_does_not_put_off_a_wake() -> None:
    handoff, vector = bound(0.0)
    calls: list[int] = []
    handoff.wake_after(SHARD, 2, lambda: calls.append(1))
    step(handoff, vector, 1.0)
    handoff.take(SHARD)
    step(handoff, vector, 1.0)
    assert calls == [1]


def test_several_streams_may_wait_for_one_shard_or_for_several() -> None:
    handoff, vector = divided(0.0, 0.0, shards=2)
    calls: list[str] = []
    for shard, steps in ((0, 1), (0, 3), (1, 2)):
        name = f"shard {shard} after {steps}"
        handoff.wake_after(ShardId(shard), steps, partial(calls.append, name))
    heard = []
    for _ in range(3):
        step(handoff, vector, 1.0, 1.0)
        heard.append(calls.copy())
        calls.clear()
    assert heard == [["shard 0 after 1"], ["shard 1 after 2"], ["shard 0 after 3"]]


def test_the_same_wake_twice_comes_once() -> None:
    handoff, vector = bound(0.0)
    calls: list[int] = []
    handoff.wake_after(SHARD, 1, lambda: calls.append(1))
    handoff.wake_after(SHARD, 1, lambda: calls.append(2))
    step(handoff, vector, 1.0)
    assert calls == [2]


def test_whoever_is_woken_may_use_the_handoff() -> None:
    handoff, vector = bound(0.0)
    taken: list[object] = []
    handoff.wake_after(SHARD, 1, lambda: taken.append(handoff.take(SHARD)))
    step(handoff, vector, 1.0)
    assert len(taken) == 1
    assert taken[0] is not None


# --- failing ------------------------------------------------------------------------------------


def test_a_failure_reaches_the_training_loop_at_its_next_step_and_at_each_after() -> None:
    handoff, vector = bound(0.0)
    handoff.fail(RuntimeError("the overlay is gone"))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the overlay is gone"):
            step(handoff, vector, 1.0)
    taken = handoff.take(SHARD)  # the lock is free, and the work is there
    assert taken is not None
    assert taken.displacement.tolist() == [2.0]


def test_leave_step_frees_the_vector_for_the_overlay() -> None:
    handoff, vector = bound(0.0)
    step(handoff, vector, 1.0)
    handoff.before_step()  # and an exception before the step has ended
    started, ended = Event(), Event()

    def overlay() -> None:
        started.set()
        handoff.take(SHARD)
        ended.set()

    thread = Thread(target=overlay, daemon=True)
    thread.start()
    assert started.wait(LONGEST_SECONDS)
    assert not ended.is_set()  # the step is the trainer's
    handoff.leave_step()
    assert ended.wait(LONGEST_SECONDS)
    thread.join(LONGEST_SECONDS)


def test_leave_step_outside_a_step_does_nothing() -> None:
    handoff, vector = bound(0.0)
    handoff.leave_step()
    step(handoff, vector, 1.0)
    handoff.leave_step()
    assert handoff.take(SHARD) is not None


def test_a_loop_that_survives_a_failed_step_goes_on() -> None:
    """`optimizer.step()` can raise (out of memory, say), and loops that skip such a batch exist."""
    handoff, vector = bound(0.0)
    gone_on = Event()

    def train() -> None:
        handoff.before_step()  # raises before it has ended
        step(handoff, vector, 1.0)
        gone_on.set()

    Thread(target=train, daemon=True).start()
    assert gone_on.wait(2.0)
    taken = handoff.take(SHARD)
    assert taken is not None
    assert taken.steps == 1


# --- two threads --------------------------------------------------------------------------------


UNITS = torch.arange(6.0).view(2, 3)  # gradients of whole numbers, so that all sums are exact


def test_nothing_is_lost_between_a_training_thread_and_a_visiting_one() -> None:
    steps = 400
    model = nn.Linear(3, 2, bias=False)
    nn.init.zeros_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    flat, handoff = FlatModel(model), Handoff()
    hooks = StepHooks(model, optimizer, handoff)
    handoff.bind(flat.vector, flat.repair)
    trained, woken = Event(), Event()
    broken: list[str] = []

    def train() -> None:
        for number in range(steps):
            optimizer.zero_grad()
            before = model.weight.detach().clone()
            loss = (model.weight * UNITS).sum()
            if not torch.equal(before, model.weight):
                broken.append(f"step {number}: the model changed before the backward pass")
            torch.autograd.backward(loss)
            optimizer.step()
        trained.set()
        woken.set()

    thread = Thread(target=train)
    thread.start()
    stream: npt.NDArray[np.floating] = np.zeros(6, dtype=np.float32)
    taken_steps, visits = 0, 0
    while not trained.is_set():
        woken.clear()
        handoff.wake_after(SHARD, 1, woken.set)
        assert trained.is_set() or woken.wait(LONGEST_SECONDS)
        if (taken := handoff.take(SHARD)) is not None:
            stream = stream + taken.displacement
            taken_steps += taken.steps
        stream = stream + 1000.0  # what others did
        visits += 1
        handoff.rebase(SHARD, stream, None)
    thread.join(LONGEST_SECONDS)
    assert not thread.is_alive()
    hooks.remove()
    handoff.settle()
    if (taken := handoff.take(SHARD)) is not None:
        stream = stream + taken.displacement
        taken_steps += taken.steps
    assert broken == []
    assert visits > 1
    assert taken_steps == steps
    others = 1000.0 * visits
    assert stream.tolist() == [others - steps * unit for unit in range(6)]
    assert flat.vector.tolist() == stream.tolist()
