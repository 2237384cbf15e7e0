"""Whatever the order of steps, takes and rebases: no displacement is lost, none is counted twice.

All values are whole numbers, so float32 sums are exact and every comparison is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flwr_digest.learning.handoff import Handoff

SIZE = 3
WHOLE = st.integers(-100, 100)
VECTOR = st.lists(WHOLE, min_size=SIZE, max_size=SIZE)


@dataclass(frozen=True)
class Step:
    move: list[int]


@dataclass(frozen=True)
class Rebase:
    model: list[int]


@dataclass(frozen=True)
class Take:
    pass


@dataclass(frozen=True)
class Settle:
    pass


Action = Step | Rebase | Take | Settle
ACTION: st.SearchStrategy[Action] = st.one_of(
    st.builds(Step, VECTOR), st.builds(Rebase, VECTOR), st.builds(Take), st.builds(Settle)
)


class Audit:
    """Does the same sums in plain integers, by the definition rather than the implementation."""

    def __init__(self, start: list[int], bind_at_once: bool) -> None:
        self.handoff = Handoff()
        self.vector = torch.tensor(start, dtype=torch.float32)
        self.base = np.array(start)  # of what was done since: the last taken, or rebased to
        self.since = np.zeros(SIZE, dtype=int)  # moved, not yet taken
        self.waiting: np.ndarray[tuple[int], np.dtype[np.int_]] | None = None
        self.moved = np.zeros(SIZE, dtype=int)
        self.taken = np.zeros(SIZE, dtype=int)
        self.steps = self.taken_steps = 0
        if bind_at_once:
            self.handoff.bind(self.vector)

    def act(self, action: Action) -> None:
        match action:
            case Step(move=move) if self.handoff.bound:
                self.handoff.before_step()
                self.vector += torch.tensor(move, dtype=torch.float32)
                self.handoff.after_step()
                self.moved += move
                self.since += move
                self.steps += 1
                self.boundary()
            case Step():
                self.handoff.bind(self.vector)
                self.boundary()
            case Rebase(model=model):
                self.handoff.rebase(np.array(model, dtype=np.float32))
                self.waiting = np.array(model)
            case Take():
                self.take()
            case Settle():
                self.handoff.settle()
                if self.handoff.bound:
                    self.boundary()

    def boundary(self) -> None:
        if self.waiting is not None:
            self.base, self.waiting = self.waiting, None

    def take(self) -> None:
        taken = self.handoff.take()
        if taken is None:
            assert self.steps == self.taken_steps
            return
        assert taken.steps == self.steps - self.taken_steps
        assert taken.displacement.tolist() == self.since.tolist()
        self.taken_steps += taken.steps
        self.taken += taken.displacement.astype(int)
        self.base = self.base + self.since
        if self.waiting is not None:  # it was posted before these steps were known
            self.waiting = self.waiting + self.since
        self.since = np.zeros(SIZE, dtype=int)

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
    audit.take()
    audit.check()
    assert audit.taken.tolist() == audit.moved.tolist()
    assert audit.taken_steps == audit.steps


@given(start=VECTOR, actions=st.lists(ACTION, max_size=20), model=VECTOR, moves=st.lists(VECTOR))
@settings(max_examples=200, deadline=None)
def test_after_a_rebase_the_vector_is_its_model_and_what_was_done_since(
    start: list[int], actions: list[Action], model: list[int], moves: list[list[int]]
) -> None:
    audit = Audit(start, bind_at_once=True)
    for action in actions:
        audit.act(action)
    audit.take()
    audit.act(Rebase(model))
    for move in moves:
        audit.act(Step(move))
    audit.act(Settle())
    assert audit.vector.tolist() == np.sum([model, *moves], axis=0).tolist()
