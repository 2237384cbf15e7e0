"""The end of a stream's session at a node, and what may undo it."""

from __future__ import annotations

from flwr_digest.core.effects import CancelTimer, Send, StreamClosed
from flwr_digest.core.ending import Ending
from flwr_digest.core.events import TimerKind
from flwr_digest.core.ids import Fence, Order
from flwr_digest.core.messages import Close
from flwr_digest.core.stream import Tour
from tests.unit.core.builders import STREAM, B, C, of_kind, shard_of, station


def ending(*, trained: bool = True) -> Ending:
    made = station()
    shard_of(made).trained = trained
    return made.ending


def close(generation: int = 1) -> Close:
    return Close(stream_id=STREAM, order=Order(Fence(generation, B), 9))


def test_the_end_cancels_all_waits_and_is_told_once() -> None:
    made = ending()
    made.timers.set(TimerKind.LOST, 3.0)
    effects = made.close({C, B})
    kinds = [type(effect) for effect in effects]
    assert kinds == [CancelTimer, Send, Send, StreamClosed]
    assert of_kind(Send, effects) == [Send(peer=p, message=made.message) for p in (B, C)]
    assert made.close({C, B}) == []


def test_at_the_end_no_receipt_is_awaited_any_more() -> None:
    made = ending()
    made.departure.send(B, Tour(), 0.0)
    made.close(())
    assert made.departure.outbound is None


def test_what_came_from_the_region_was_all_unless_the_node_gave_up() -> None:
    for act, complete in ((Ending.give_up, False), (lambda made: made.close(()), True)):
        made = ending()
        assert made.visits.shard is not None
        act(made)
        assert made.visits.shard.regions[STREAM].complete is complete


def test_a_word_to_close_counts_when_the_node_has_finished() -> None:
    assert ending().comes_with(close())
    made = ending(trained=False)
    assert not made.comes_with(close())
    assert made.heard == close()


def test_a_word_to_close_of_an_outranked_copy_is_none() -> None:
    made = ending(trained=False)
    made.copy.heard_of(Fence(3, C))
    assert not made.comes_with(close())
    assert made.heard is None


def test_giving_up_can_be_taken_back_and_a_real_end_cannot() -> None:
    made = ending()
    made.give_up()
    assert made.withdraw()
    assert not made.closed
    assert not made.withdraw()
    made.close(())
    assert not made.withdraw()
    assert made.closed


def test_a_newer_copy_undoes_every_end() -> None:
    made = ending()
    made.give_up()
    made.heard = close()
    made.reopen()
    assert (made.closed, made.gave_up) == (False, False)
    assert made.heard is None
