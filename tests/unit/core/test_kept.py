"""The kept copy: which one counts, and what it shows when it leaves."""

from __future__ import annotations

import pytest

from flwr_digest.core.ids import Fence, Order
from flwr_digest.core.kept import KeptCopy
from flwr_digest.core.messages import Receipt
from flwr_digest.core.stream import Tour
from tests.unit.core.builders import STREAM, A, B, C, stream

SEEN = Tour(seen=frozenset({B}))


def kept(generation: int = 2, hop: int = 5) -> KeptCopy:
    """Return what A keeps: a copy with a fence of B's."""
    fence = Fence(generation, B)
    copy = stream(fence=fence, hop=hop, tour=SEEN, closing=True, clock_seconds=1.0)
    return KeptCopy(node_id=A, stream=copy, highest=fence)


@pytest.mark.parametrize(
    ("fence", "hop", "stale"),
    [
        (Fence(2, B), 4, True),
        (Fence(2, B), 5, True),
        (Fence(2, B), 6, False),
        (Fence(1, C), 9, True),
        (Fence(2, C), 1, False),
        (Fence(3, A), 0, False),
    ],
)
def test_the_fence_decides_and_then_the_hop(fence: Fence, hop: int, stale: bool) -> None:
    assert kept().is_newer_than(stream(fence=fence, hop=hop)) is stale


def test_a_copy_below_a_fence_that_was_only_heard_of_is_dead() -> None:
    made = kept()
    made.heard_of(Fence(7, C))
    assert made.outranked
    assert made.is_newer_than(stream(fence=Fence(6, C), hop=99))
    assert made.newest == Order(Fence(7, C), 0)


def test_hearing_of_an_older_fence_changes_nothing() -> None:
    made = kept()
    made.heard_of(Fence(1, C))
    assert not made.outranked
    assert made.newest == made.stream.order


def test_a_receipt_names_the_copy_that_came_and_the_newest_one_known() -> None:
    came, made = stream(fence=Fence(1, B), hop=3), kept()
    receipt = Receipt(stream_id=STREAM, order=came.order, newest=made.stream.order)
    assert made.receipt_for(came) == receipt


def test_a_re_issued_copy_is_above_all_that_were_heard_of_and_begins_anew() -> None:
    made = kept()
    made.heard_of(Fence(7, C))
    copy = made.reissued()
    assert (copy.fence, copy.tour, copy.closing) == (Fence(8, A), Tour(), False)
    assert made.highest == copy.fence


def test_only_another_way_raises_the_fence() -> None:
    made, tour = kept(), Tour(seen=frozenset({C}))
    made.take_way(tour)
    assert (made.stream.tour, made.stream.fence) == (tour, Fence(2, B))
    made.take_way(SEEN, raise_fence=True)
    assert (made.stream.tour, made.stream.fence) == (SEEN, Fence(3, A))
    assert not made.outranked


def test_the_copy_takes_its_own_clock_along() -> None:
    made = kept()
    made.follow_clock(made.stream, now=100.0)  # it shows 1.0
    made.set_clock(now=104.0, way_seconds=0.5)
    assert made.stream.clock_seconds == pytest.approx(5.5)
