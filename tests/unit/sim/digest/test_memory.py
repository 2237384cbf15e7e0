"""What a killed node finds again: all that it has saved, or an older state under a new life."""

from __future__ import annotations

from dataclasses import replace

from flwr_digest.core.ids import StreamId
from flwr_digest.core.state import StationState, first_state
from flwr_digest.sim.digest.memory import Memory
from tests.unit.core.builders import train, vector

ONE, OTHER = StreamId(0), StreamId(1)


def state(steps: int) -> StationState:
    first = first_state(ONE, vector(0), life=1)
    return replace(first, account=train(first.account, steps)) if steps else first


def steps_of(states: dict[StreamId, StationState]) -> dict[StreamId, int]:
    return {stream_id: found.account.steps for stream_id, found in states.items()}


def memory() -> Memory:
    made = Memory()
    made.begin({ONE: state(0), OTHER: state(0)})
    return made


def test_what_was_kept_last_is_found_again() -> None:
    made = memory()
    made.keep({ONE: state(3)})
    made.keep({ONE: state(5)})
    found = made.recalled(life=2)
    assert steps_of(found) == {ONE: 5, OTHER: 0}
    assert {each.account.life for each in found.values()} == {1}


def test_who_could_not_save_opens_new_accounts() -> None:
    made = memory()
    made.keep({ONE: state(3)})
    made.full = True
    made.keep({OTHER: state(4)})
    found = made.recalled(life=2)
    assert {each.account.life for each in found.values()} == {2}
    assert steps_of(found) == {ONE: 0, OTHER: 0}


def test_once_there_is_room_all_is_saved_again() -> None:
    made = memory()
    made.full = True
    made.keep({OTHER: state(4)})
    made.full = False
    made.keep({ONE: state(3)})
    found = made.recalled(life=2)
    assert steps_of(found) == {ONE: 3, OTHER: 4}
    assert {each.account.life for each in found.values()} == {1}


def test_a_new_session_begins_with_what_it_is_given() -> None:
    made = memory()
    made.full = True
    made.keep({ONE: state(3)})
    made.begin({ONE: state(2), OTHER: state(1)})
    assert steps_of(made.recalled(life=2)) == {ONE: 2, OTHER: 1}
