"""The keeper: a visit is on disk before it is told of, or the file says that it is not."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flwr_digest.core.account import contribute, settle
from flwr_digest.core.cargo import Cargo
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.state import StationState, first_state, for_new_session
from flwr_digest.errors import ConfigError, StateError
from flwr_digest.overlay.keeper import Keeper
from flwr_digest.overlay.memory import recalled, save_states, states_from
from flwr_digest.overlay.statefile import StateFile
from tests.support.full_disk import disk_full
from tests.support.overlay_session import captured_log

ME, STREAM, OTHER = NodeId(1), StreamId(0), StreamId(12)
LIFE = 7


class Clock:
    """A clock that shows what it is told, and runs on by as much at each look."""

    def __init__(self) -> None:
        self.now = 0.0
        self.each = 0.0

    def __call__(self) -> float:
        self.now += self.each
        return self.now


def begin_state(stream_id: StreamId = STREAM) -> StationState:
    initial = np.zeros(3, dtype=np.float32)
    return for_new_session(first_state(stream_id, initial, LIFE), drift_correction=True)


def visited(state: StationState, steps: int = 5) -> StationState:
    ones = np.ones(3, dtype=np.float32)
    account = contribute(state.account, Cargo(model=ones, rate=ones), steps)
    settled = settle(account, state.kept, ME, [ME])
    kept = settled.stream
    return StationState(account=settled.account, kept=kept, highest=state.highest, rate=ones)


def keeper_at(path: Path, share: float, clock: Callable[[], float] | None = None) -> Keeper:
    file = StateFile(path)
    file.save({})
    return Keeper(node_id=ME, file=file, share=share, clock=clock or Clock())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.digest"


def steps_known(path: Path) -> int:
    loaded = StateFile(path).load(states_from)
    assert loaded is not None
    return loaded.content[STREAM].account.steps


def exact(path: Path) -> bool:
    loaded = StateFile(path).load(states_from)
    assert loaded is not None
    return loaded.exact


def test_all_of_a_state_comes_back_with_its_rates(path: Path) -> None:
    state = visited(visited(begin_state()))
    keeper = keeper_at(path, 1.0)
    keeper.begin({STREAM: begin_state(), OTHER: begin_state(OTHER)})
    keeper.keep({STREAM: state})
    found = recalled(StateFile(path), LIFE + 1)
    assert found is not None
    assert sorted(found) == [STREAM, OTHER]
    assert repr(found[STREAM]) == repr(state)


def test_with_a_share_of_one_every_visit_is_saved(path: Path) -> None:
    clock = Clock()
    clock.each = 1.0
    keeper, state = keeper_at(path, 1.0, clock), begin_state()
    keeper.begin({STREAM: state})
    for number in range(1, 5):
        state = visited(state)
        keeper.keep({STREAM: state})
        assert exact(path)
        assert steps_known(path) == 5 * number


def test_with_a_share_of_zero_none_is_and_the_file_says_so(path: Path) -> None:
    keeper = keeper_at(path, 0.0)
    keeper.begin({STREAM: begin_state()})
    assert exact(path)
    for state in (visited(begin_state()), visited(visited(begin_state()))):
        keeper.keep({STREAM: state})
        assert not exact(path)
    assert steps_known(path) == 0


def test_what_a_session_ends_with_is_what_the_next_begins_with(path: Path) -> None:
    file = StateFile(path)
    states = {STREAM: visited(begin_state()), OTHER: begin_state(OTHER)}
    save_states(file, states)
    assert repr(recalled(StateFile(path), LIFE + 1)) == repr(states)


def test_a_save_that_took_long_is_not_repeated_soon(path: Path) -> None:
    clock = Clock()
    keeper, state = keeper_at(path, 0.1, clock), begin_state()
    keeper.begin({STREAM: state})
    clock.each = 1.0  # from here on a save takes a second: nine without must follow
    state = visited(state)
    keeper.keep({STREAM: state})
    assert exact(path)
    clock.each = 0.0
    for late, saved in ((0.0, False), (8.9, False), (0.2, True)):
        clock.now += late
        state = visited(state)
        keeper.keep({STREAM: state})
        assert exact(path) == saved
    assert steps_known(path) == 20


def test_what_was_not_saved_is_with_the_next_save_of_any_stream(path: Path) -> None:
    clock = Clock()
    keeper, state = keeper_at(path, 0.1, clock), begin_state()
    keeper.begin({STREAM: state, OTHER: begin_state(OTHER)})
    clock.each = 1.0
    keeper.keep({OTHER: begin_state(OTHER)})
    clock.each = 0.0
    keeper.keep({STREAM: visited(state)})
    assert not exact(path)
    clock.now += 100.0
    keeper.keep({OTHER: visited(begin_state(OTHER))})
    assert exact(path)
    assert steps_known(path) == 5


def test_after_an_unsaved_visit_the_accounts_are_opened_anew_under_a_life_never_used(
    path: Path,
) -> None:
    clock = Clock()
    keeper, state = keeper_at(path, 0.1, clock), visited(begin_state())
    keeper.begin({STREAM: begin_state()})
    clock.each = 1.0
    keeper.keep({STREAM: state})
    clock.each = 0.0
    keeper.keep({STREAM: visited(state)})
    found = recalled(StateFile(path), life=LIFE)  # by a clock that was set back, say
    assert found is not None
    account = found[STREAM].account
    assert (account.life, account.steps, account.deposit) == (LIFE + 1, 0, None)
    assert found[STREAM].kept.order == state.kept.order


def test_where_nothing_was_ever_saved_there_is_nothing_to_recall(path: Path) -> None:
    assert recalled(StateFile(path), LIFE) is None
    path.write_bytes(b"nonsense")
    with pytest.raises(StateError):
        recalled(StateFile(path), LIFE)


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan, math.inf])
def test_a_share_that_is_none_is_refused(path: Path, share: float) -> None:
    with pytest.raises(ConfigError, match=r"^share is .*: it must be from 0 "):
        keeper_at(path, share)


# --- a full disk --------------------------------------------------------------------------------


def test_a_full_disk_is_said_once_and_so_is_that_it_is_over(path: Path) -> None:
    keeper, state = keeper_at(path, 1.0), begin_state()
    keeper.begin({STREAM: state})
    with captured_log() as log:
        with disk_full():
            for _ in range(3):
                state = visited(state)
                keeper.keep({STREAM: state})
        assert len(log) == 1
        assert log[0].startswith(f"node 1 cannot save its state to {path} (No space left on device")
        state = visited(state)
        keeper.keep({STREAM: state})
        keeper.keep({STREAM: visited(state)})
    assert len(log) == 2
    assert log[1].startswith("node 1: its state is saved again, after 3 saves in ")
    assert keeper.failed_saves == 3
    assert exact(path)
    assert steps_known(path) == 25


def test_a_visit_that_could_not_be_saved_puts_the_file_behind(path: Path) -> None:
    """In the place of a seal there is room, however full the disk."""
    keeper, state = keeper_at(path, 1.0), begin_state()
    keeper.begin({STREAM: state})
    with captured_log(), disk_full():
        keeper.keep({STREAM: visited(state)})
    assert not exact(path)
    assert steps_known(path) == 0


def test_a_file_that_is_gone_is_said_and_training_goes_on(path: Path) -> None:
    keeper = keeper_at(path, 1.0)
    path.unlink()
    with captured_log() as log:
        keeper.begin({STREAM: begin_state()})
        keeper.keep({STREAM: visited(begin_state())})
        assert len(log) == 1
        assert "No such file" in log[0]
        StateFile(path).save({})  # someone has seen to it
        keeper.keep({STREAM: visited(begin_state())})
    assert len(log) == 2
    assert log[1].startswith("node 1: its state is saved again, after 2 saves in ")
    assert (exact(path), steps_known(path)) == (True, 5)
