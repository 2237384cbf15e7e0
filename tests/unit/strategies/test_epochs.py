"""When streams are cut anew, into how many regions, and where the new ones start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flwr_digest.core.config import StreamPlan
from flwr_digest.core.epoch import Contents, Told
from flwr_digest.core.ids import Fence, NodeId, Order, ShardId, StreamId
from flwr_digest.core.plan import Hello
from flwr_digest.strategies.epochs import (
    Epoch,
    LastSession,
    gateways_in,
    last_session,
    line_about,
    next_epoch,
)

A, B, C, D = map(NodeId, (2, 3, 5, 7))
EVERYONE = (A, B, C, D)
DONE: Contents = {A: Told(1, 10), B: Told(1, 10), C: Told(1, 10), D: Told(1, 10)}
LAST = LastSession(
    epoch=Epoch(number=4, regions=2), members=frozenset(EVERYONE), gateways={B: 1}
)  # fmt: skip
ALONE = replace(LAST, epoch=Epoch(number=4, regions=1), gateways={})


def hello(*contents: Contents, epoch: int = 4, life: int = 1) -> Hello:
    kept = {StreamId(0): Order(Fence(1, A), 9)} if contents else {}
    return Hello(
        address="h:1",
        certificate="",
        kept=kept,
        generation=1,
        life=life,
        epoch=epoch,
        contents=contents,
    )


def hellos(**changes: Any) -> dict[NodeId, Hello]:  # noqa: ANN401
    return {node: replace(hello(DONE), **changes) for node in EVERYONE}


def epoch_of(
    given: dict[NodeId, Hello], last: LastSession | None = LAST, regions: int = 2
) -> Epoch:
    return next_epoch(given, regions, last, {D: "it is gone"})


# --- when ---------------------------------------------------------------------------------------


def test_the_first_session_has_the_regions_that_the_user_wants() -> None:
    given = {node: hello(epoch=0) for node in EVERYONE}
    assert next_epoch(given, 7, None, {}) == Epoch(number=0, regions=7)


def test_the_same_nodes_go_on() -> None:
    assert epoch_of(hellos()) == Epoch(number=4, regions=2)


def test_one_region_goes_on_whoever_comes_and_goes() -> None:
    given = {A: hello(DONE), NodeId(9): hello(epoch=0, life=0)}
    assert epoch_of(given, ALONE, regions=1) == Epoch(number=4, regions=1)


@pytest.mark.parametrize(
    ("gone", "changed", "why"),
    [
        (D, {}, "node 7 is missing: it is gone"),
        (C, {}, "node 5 is missing: it was not asked"),
        (None, {NodeId(9): hello(DONE)}, "node 9 is new"),
        (None, {B: hello(DONE, life=8)}, "gateway 3 has lost its state"),
        (None, {C: hello(DONE, epoch=3)}, "node 5 has missed the last round"),
    ],
)
def test_other_nodes_or_a_gateway_that_forgot_need_a_new_epoch(
    gone: NodeId | None, changed: dict[NodeId, Hello], why: str
) -> None:
    given = {node: hello for node, hello in hellos().items() if node != gone} | changed
    assert epoch_of(given) == Epoch(number=5, regions=2, why=why, cut_anew=True)


def test_who_is_no_gateway_may_come_back_without_its_state() -> None:
    assert not epoch_of(hellos() | {A: hello(life=8)}).cut_anew


def test_after_a_strategy_before_this_one_a_new_epoch_begins() -> None:
    assert epoch_of(hellos(), None).number == 5
    assert epoch_of(hellos(), None, regions=1).cut_anew


# --- with how many regions ----------------------------------------------------------------------


def test_nodes_with_different_models_have_one_region_first() -> None:
    less = {**DONE, C: Told(1, 9)}
    given = hellos() | {C: hello(less), NodeId(9): hello(epoch=0)}
    begun = epoch_of(given)
    assert (begun.number, begun.regions, begun.cut_anew) == (5, 1, True)
    assert begun.starts[ShardId(0)] in {A, B, D}


def test_who_will_open_its_accounts_anew_has_no_model_in_common_with_anyone() -> None:
    assert epoch_of(hellos() | {B: hello(DONE, life=0)}).regions == 1


def test_one_region_goes_on_until_all_have_the_same_model() -> None:
    given = hellos() | {NodeId(9): hello(epoch=0)}
    assert epoch_of(given, ALONE) == Epoch(number=4, regions=1)
    ready = hellos() | {NodeId(9): hello(DONE)}
    again = epoch_of(ready, replace(ALONE, members=frozenset(ready)))
    assert again == Epoch(
        number=5, regions=2, why="all nodes have the same model again", cut_anew=True
    )


def test_few_nodes_have_fewer_regions_than_the_user_wants() -> None:
    given = {node: hello(DONE) for node in (A, B, C)}
    last = replace(LAST, epoch=Epoch(number=4, regions=3))
    assert epoch_of(given, last, regions=3).regions == 2
    assert epoch_of({A: hello(DONE)}, last, regions=3).regions == 1
    assert not epoch_of({A: hello(DONE)}, ALONE, regions=3).cut_anew


# --- from which copy ----------------------------------------------------------------------------


def test_each_shard_starts_where_most_steps_are_in_one_copy() -> None:
    more, less = {**DONE, A: Told(1, 12)}, {**DONE, A: Told(1, 8)}
    given = {A: hello(DONE, less), B: hello(more, less), C: hello(less, DONE)}
    assert epoch_of(given).starts == {ShardId(0): B, ShardId(1): C}


def test_work_of_a_lost_node_that_only_other_copies_have_is_counted() -> None:
    more, less = {**DONE, D: Told(1, 12)}, {**DONE, A: Told(1, 2), B: Told(1, 2)}
    given = {A: hello(DONE), B: hello(DONE), C: hello({**less, D: more[D]})}
    begun = epoch_of(given)
    assert begun.starts[ShardId(0)] in {A, B}
    assert begun.forfeited_steps == 2  # of D; what A and B have made they bring themselves
    assert "2 local steps of nodes that are gone are given up" in line_about(begun, 3)


def test_an_earlier_life_of_a_lost_node_is_in_all_later_copies() -> None:
    given = {A: hello({**DONE, D: Told(2, 1)}), B: hello({D: Told(1, 30)})}
    assert epoch_of(given).forfeited_steps == 0
    reborn = {A: hello(DONE), B: hello({D: Told(2, 3)})}
    assert epoch_of(reborn).forfeited_steps == 3


# --- what is remembered, and said ---------------------------------------------------------------


def streams() -> dict[StreamId, StreamPlan]:
    parts = [frozenset({A, B}), frozenset({B, C, D})] * 2
    return {
        StreamId(number): StreamPlan(shard=ShardId(number // 2), start=B, members=part)
        for number, part in enumerate(parts)
    }


def test_gateways_are_remembered_with_their_lives_when_the_epoch_began() -> None:
    assert gateways_in(streams()) == {B}
    assert gateways_in({StreamId(0): streams()[StreamId(1)]}) == frozenset()
    begun = Epoch(number=5, regions=2, cut_anew=True)
    first = last_session(begun, hellos(life=6), streams(), LAST)
    assert first == LastSession(epoch=begun, members=frozenset(EVERYONE), gateways={B: 6})
    later = last_session(Epoch(number=5, regions=2), hellos(life=8), streams(), first)
    assert later.gateways == {B: 6}


def test_a_line_says_why_and_how() -> None:
    begun = Epoch(number=5, regions=2, why="node 7 is missing: it is gone", cut_anew=True)
    assert line_about(begun, 3) == (
        "epoch 5 begins (node 7 is missing: it is gone) with 2 regions, drawn anew: all 3 nodes "
        "begin with the same model"
    )
    assert line_about(replace(begun, regions=1), 3) == (
        "epoch 5 begins (node 7 is missing: it is gone) with 1 region, until all 3 nodes have the "
        "same model"
    )
