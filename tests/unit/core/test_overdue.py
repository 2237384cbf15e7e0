"""Late receipts: what they tell of how long one takes, and what they do not."""

from __future__ import annotations

from flwr_digest.core.ids import Fence, Order
from flwr_digest.core.messages import Receipt
from flwr_digest.core.overdue import MOST_OVERDUE, Overdue
from flwr_digest.core.stream import Tour
from tests.unit.core.builders import STREAM, B, C, station

ONE, OTHER = Order(Fence(1, B), 4), Order(Fence(2, B), 4)
ALL = frozenset({B, C})


def test_of_what_was_sent_once_the_receipt_is_exact() -> None:
    overdue = Overdue()
    overdue.note(B, ONE, 10.0, again=False)
    assert overdue.answered(B, ONE, 50.0) == 40.0
    assert overdue.answered(B, ONE, 60.0) is None


def test_of_what_was_sent_again_the_second_receipt_tells_how_long_the_first_took() -> None:
    overdue = Overdue()
    overdue.note(B, ONE, 10.0, again=True)
    overdue.note(B, ONE, 13.0, again=True)
    overdue.note(B, ONE, 19.0, again=False)
    assert overdue.answered(B, ONE, 50.0) is None
    assert overdue.answered(B, ONE, 53.0) == 40.0


def test_receipts_of_others_tell_nothing() -> None:
    overdue = Overdue()
    overdue.note(B, ONE, 10.0, again=False)
    assert overdue.answered(C, ONE, 50.0) is None
    assert overdue.answered(B, OTHER, 50.0) is None


def test_what_is_remembered_is_bounded() -> None:
    overdue = Overdue()
    for hop in range(1 + MOST_OVERDUE):
        overdue.note(B, Order(Fence(1, B), hop), 10.0, again=False)
    assert overdue.answered(B, Order(Fence(1, B), 0), 50.0) is None
    assert overdue.answered(B, Order(Fence(1, B), 1), 50.0) == 40.0


def test_where_all_take_longer_than_the_first_wait_it_grows() -> None:
    made = station(first_receipt_seconds=3.0).departure
    made.send(B, Tour(), 0.0)
    first = made.copy.stream.order
    for at in (3.0, 9.0, 21.0):  # again, again, and another way
        made.late(ALL, at)
    receipt = Receipt(stream_id=STREAM, order=first, newest=first)
    for at in (40.0, 43.0):
        assert not made.acknowledged(B, receipt, at)
    assert made.delays.receipt.wait_seconds == 72.0  # of 24 s: eight times the first wait
