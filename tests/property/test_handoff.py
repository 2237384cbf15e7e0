"""Whatever the order of steps, takes and rebases: no displacement is lost, none is counted twice.

The vector has three shards. All values are whole numbers, so float32 sums are exact and every
comparison is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flwr_digest.core.ids import ShardId
from flwr_digest.learning.handoff import Handoff

SIZES = (2, 1, 3)
SIZE = sum(SIZES)
SLICES = (slice(0, 2), slice(2, 3), slice(3, 6))
SHARDS = tuple(map(ShardId, range(3)))
WHOLE = st.integers(-100, 100)
VECTOR = st.lists(WHOLE, min_size=SIZE, max_size=SIZE)
SHARD = st.sampled_from(SHARDS)


@dataclass(frozen=True)
class Step:
    """A local step; None: with a parameter that has no gradient."""

    move: list[int]
    gradient: list[int] | None


@dataclass(frozen=True)
class Rebase:
    shard: ShardId
    model: list[int]
    correction: list[int] | None


@dataclass(frozen=True)
class Take:
    shard: ShardId


@dataclass(frozen=True)
class Settle:
    pass


@dataclass(frozen=True)
class Uncorrect:
    pass


def rebases(shard: ShardId) -> st.SearchStrategy[Rebase]:
    """Make rebases of one shard, with a correction or without."""
    part = st.lists(WHOLE, min_size=SIZES[shard], max_size=SIZES[shard])
    return st.builds(Rebase, st.just(shard), part, st.one_of(st.none(), part))


Action = Step | Rebase | Take | Settle | Uncorrect
ACTION: st.SearchStrategy[Action] = st.one_of(
    st.builds(Step, VECTOR, st.one_of(st.none(), VECTOR)),
    SHARD.flatmap(rebases),
    st.builds(Take, SHARD),
    st.builds(Settle),
    st.builds(Uncorrect),
)
Whole = np.ndarray[tuple[int], np.dtype[np.int_]]


class Audit:
    """Does the same sums in plain integers, by the definition rather than the implementation.

    A step moves the vector by `move`, less what the correction adds: a step of plain SGD with rate
    1, whose gradient is that of the loss plus the correction.
    """

    def __init__(self, start: list[int], bind_at_once: bool) -> None:
        self.handoff = Handoff()
        self.handoff.divide(SLICES, drift_correction=True)
        self.vector = torch.tensor(start, dtype=torch.float32)
        self.parameter = torch.nn.Parameter(self.vector)
        self.base = np.array(start)  # of what was done since: the last taken, or rebased to
        self.since = np.zeros(SIZE, dtype=int)  # moved, not yet taken
        self.gradients = np.zeros(SIZE, dtype=int)  # the same of the gradients
        self.correction = np.zeros(SIZE, dtype=int)
        self.waiting: dict[ShardId, Whole] = {}
        self.moved = np.zeros(SIZE, dtype=int)
        self.taken = np.zeros(SIZE, dtype=int)
        self.steps = 0
        self.taken_steps = dict.fromkeys(SHARDS, 0)
        if bind_at_once:
            self.handoff.bind(self.vector)

    def act(self, action: Action) -> None:
        match action:
            case Step() if self.handoff.bound:
                self.step(action)
                self.boundary()
            case Step():
                self.handoff.bind(self.vector)
                self.boundary()
            case Rebase():
                self.rebase(action)
            case Take(shard=shard):
                self.take(shard)
            case Uncorrect():
                self.handoff.uncorrect()
                self.correction = np.zeros(SIZE, dtype=int)
            case Settle():
                self.handoff.settle()
                if self.handoff.bound:
                    self.boundary()

    def step(self, action: Step) -> None:
        gradient, corrected = action.gradient, self.correction
        self.parameter.grad = None
        if gradient is not None:
            self.parameter.grad = torch.tensor(gradient, dtype=torch.float32)
            self.gradients += gradient
        else:
            corrected = np.zeros(SIZE, dtype=int)
        self.handoff.before_step([self.parameter])
        with torch.no_grad():
            self.vector += torch.tensor(action.move, dtype=torch.float32)
            if self.parameter.grad is not None:
                assert gradient is not None
                added = self.parameter.grad - torch.tensor(gradient)
                assert added.tolist() == corrected.tolist()
                self.vector -= added
        self.handoff.after_step()
        self.moved += action.move - corrected
        self.since += action.move - corrected
        self.steps += 1

    def rebase(self, action: Rebase) -> None:
        correction = action.correction if self.handoff.bound else None  # no step, no rate
        new = None if correction is None else np.array(correction, dtype=np.float32)
        self.handoff.rebase(action.shard, np.array(action.model, dtype=np.float32), new)
        self.waiting[action.shard] = np.array(action.model)
        if correction is not None:
            self.correction = self.correction.copy()
            self.correction[SLICES[action.shard]] = correction

    def boundary(self) -> None:
        for shard, model in self.waiting.items():
            self.base[SLICES[shard]] = model
        self.waiting = {}

    def take(self, shard: ShardId) -> None:
        taken, place = self.handoff.take(shard), SLICES[shard]
        if taken is None:
            assert self.steps == self.taken_steps[shard]
            return
        assert taken.gradients is not None
        assert taken.steps == self.steps - self.taken_steps[shard]
        assert taken.displacement.tolist() == self.since[place].tolist()
        assert taken.gradients.tolist() == self.gradients[place].tolist()
        self.taken_steps[shard] += taken.steps
        self.taken[place] += taken.displacement.astype(int)
        self.base[place] += self.since[place]
        if shard in self.waiting:  # it was posted before these steps were known
            self.waiting[shard] = self.waiting[shard] + self.since[place]
        self.since[place] = 0
        self.gradients[place] = 0

    def check(self) -> None:
        assert (self.taken + self.since).tolist() == self.moved.tolist()
        if self.handoff.bound:
            assert self.vector.tolist() == (self.base + self.since).tolist()


@given(start=VECTOR, bind_at_once=st.booleans(), actions=st.lists(ACTION, max_size=40))
@settings(max_examples=300, deadline=None)
def test_taken_and_not_yet_taken_is_all_that_was_done(
    start: list[int], bind_at_once: bool, actions: list[Action]
) -> None:
    audit = Audit(start, bind_at_once)
    for action in actions:
        audit.act(action)
        audit.check()
    for shard in SHARDS:
        audit.take(shard)
    audit.check()
    assert audit.taken.tolist() == audit.moved.tolist()
    assert set(audit.taken_steps.values()) == {audit.steps}


@given(start=VECTOR, actions=st.lists(ACTION, max_size=20), model=VECTOR, moves=st.lists(VECTOR))
@settings(max_examples=200, deadline=None)
def test_after_a_rebase_the_vector_is_its_model_and_what_was_done_since(
    start: list[int], actions: list[Action], model: list[int], moves: list[list[int]]
) -> None:
    audit = Audit(start, bind_at_once=True)
    for action in actions:
        audit.act(action)
    for shard in SHARDS:
        audit.take(shard)
        audit.act(Rebase(shard, model[SLICES[shard]], None))
    for move in moves:
        audit.act(Step(move, None))
    audit.act(Settle())
    assert audit.vector.tolist() == np.sum([model, *moves], axis=0).tolist()
