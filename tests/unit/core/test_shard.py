"""A shard: steps wait for the gate, and what one region has learned goes to the others once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np
import pytest

from flwr_digest.core.account import Account, settle
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.news import NO_NEWS, News
from flwr_digest.core.shard import RATE_WINDOW_STEPS, Content, Region, Shard, content_of
from flwr_digest.core.stream import Stream, Visit
from tests.unit.core.builders import (
    LIFE,
    OTHER,
    SHARD,
    STREAM,
    A,
    B,
    C,
    account,
    cargo,
    config,
    node_of,
    steps,
    stream,
    topology_of,
    vector,
    visiting,
)

PATH = topology_of(nx.path_graph(3))
REGIONS = {STREAM: visiting({A, B}), OTHER: visiting({B, C})}


def one_region(**fields: Any) -> Shard:  # noqa: ANN401
    """Return A's shard, which one stream visits."""
    given = config(**fields)
    return node_of(given).shards[SHARD]


def gateway(**fields: Any) -> Shard:  # noqa: ANN401
    """Return B's shard on a path, which two streams visit."""
    return one_region(**{"node_id": B, "topology": PATH, "streams": REGIONS, **fields})


def inflow(shard: Shard, stream_id: StreamId) -> float:
    return float(shard.regions[stream_id].account.inflow.model.item())


def visit(shard: Shard, copy: Stream, now: float = 0.0) -> tuple[Stream, bool]:
    """Carry out a visit as a station does; return the copy, and whether its news is known."""
    region = shard.regions[copy.stream_id]
    shard.bank(now)
    members = shard.config.streams[copy.stream_id].members
    came_with = content_of(copy)
    settled = settle(region.account, copy, shard.config.node_id, members)
    region.account = settled.account
    known = shard.visited_by(settled.stream, came_with, offset_seconds=0.0)
    return settled.stream, known


def learned(copy: Stream, model: float) -> Stream:
    """Return the copy after a visit elsewhere that has brought something."""
    return replace(copy, model=copy.model + model, changes=copy.changes + 1, hop=copy.hop + 1)


# --- local steps ---------------------------------------------------------------------------------


def test_steps_go_into_the_accounts_of_all_streams_that_come_here() -> None:
    shard = gateway(weight=0.5)
    shard.take_in(steps(4))
    assert inflow(shard, STREAM) == 0
    shard.bank(now=1.0)
    assert [inflow(shard, s) for s in (STREAM, OTHER)] == [2, 2]
    assert [region.account.steps for region in shard.regions.values()] == [4, 4]


def test_gradients_are_taken_in_with_drift_correction_alone() -> None:
    for correct, gradients in ((False, None), (True, vector(3))):
        shard = one_region(drift_correction=correct)
        shard.take_in(steps(1, gradients=3.0))
        assert shard.ledger.gradients == gradients


def test_a_rate_is_of_at_least_so_many_steps() -> None:
    shard = one_region(drift_correction=True)
    shard.take_in(steps(RATE_WINDOW_STEPS - 1, gradients=1.0))
    shard.bank(now=1.0)
    assert shard.ledger.rate is None
    shard.take_in(steps(1, gradients=1.0))
    shard.bank(now=2.0)
    assert shard.ledger.rate == vector(1 / RATE_WINDOW_STEPS + (1 - 1 / RATE_WINDOW_STEPS) / 19)


# --- the gate ------------------------------------------------------------------------------------


def after_a_contribution(now: float = 10.0, **fields: Any) -> Shard:  # noqa: ANN401
    """Return a gateway's shard that has contributed at `now`, and made two steps since."""
    shard = gateway(**fields)
    shard.take_in(steps(1))
    shard.bank(now)
    shard.take_in(steps(2))
    return shard


def test_the_gate_is_open_before_the_first_contribution_and_before_any_news() -> None:
    assert gateway().gate_open(now=0.0)
    shard = after_a_contribution()
    assert shard.news_age_seconds(10.0) is None
    assert shard.gate_open(now=10.0)


@pytest.mark.parametrize(("now", "born", "is_open"), [(14.0, 9.0, False), (14.0, 10.0, True)])
def test_the_gate_opens_when_the_last_contribution_is_as_old_as_the_news(
    now: float, born: float, is_open: bool
) -> None:
    shard = after_a_contribution(now=10.0)
    shard.regions[STREAM].news = News(1, born)
    assert shard.news_age_seconds(now) == now - born
    assert shard.gate_open(now) is is_open


def test_behind_a_closed_gate_steps_wait_and_none_is_lost() -> None:
    shard = after_a_contribution(now=10.0)
    shard.regions[STREAM].news = News(1, 5.0)
    shard.bank(now=12.0)
    assert (inflow(shard, STREAM), shard.ledger.pending_steps) == (1, 2)
    shard.regions[STREAM].news = News(1, 11.0)
    shard.bank(now=12.0)
    assert (inflow(shard, STREAM), shard.ledger.pending_steps) == (3, 0)


def test_the_age_of_news_is_the_mean_over_all_nodes_of_all_regions() -> None:
    shard = gateway()
    shard.regions[STREAM].news, shard.regions[OTHER].news = News(1, 10.0), News(3, 2.0)
    assert shard.news_age_seconds(12.0) == 8.0


def test_the_end_of_training_opens_the_gate() -> None:
    shard = after_a_contribution(now=10.0)
    shard.regions[STREAM].news = News(1, 5.0)
    shard.trained = True
    shard.bank(now=12.0)
    assert inflow(shard, STREAM) == 3


def test_without_regions_there_is_no_gate() -> None:
    shard = one_region()
    shard.bank(now=10.0)
    shard.regions[STREAM].news = News(1, 5.0)
    assert shard.gate_open(now=10.0)


def test_the_gate_can_be_left_out() -> None:
    shard = after_a_contribution(now=10.0, gate=False)
    shard.regions[STREAM].news = News(1, 5.0)
    assert shard.gate_open(now=10.0)


def test_a_visit_says_how_old_the_news_is_that_it_brings() -> None:
    shard = gateway()
    assert shard.news_for(STREAM, now=20.0) == News(1, 20.0)
    shard.regions[STREAM].news, shard.regions[OTHER].news = News(9, 10.0), News(3, 8.0)
    assert shard.news_for(STREAM, now=20.0) == News(4, 11.0)  # its own is no news to a stream


# --- what is left at the end ---------------------------------------------------------------------


def test_closed_books_hold_what_the_gate_holds_back_and_change_nothing() -> None:
    shard = after_a_contribution(now=10.0)
    shard.regions[STREAM].news = News(1, 5.0)
    accounts, rate = shard.closed_books()
    assert [a.inflow.model.item() for a in accounts.values()] == [3, 3]
    assert [a.steps for a in accounts.values()] == [3, 3]
    assert rate is None
    assert (inflow(shard, STREAM), shard.ledger.pending_steps) == (1, 2)


def test_closed_books_hold_the_rate_of_the_steps_in_them() -> None:
    shard = one_region(drift_correction=True)
    shard.take_in(steps(RATE_WINDOW_STEPS, gradients=RATE_WINDOW_STEPS * 3.0))
    accounts, rate = shard.closed_books()
    assert rate == accounts[STREAM].inflow.rate == vector(3)


# --- between regions -----------------------------------------------------------------------------


def test_what_a_stream_has_learned_elsewhere_goes_to_the_other_region() -> None:
    shard = gateway()
    copy, _ = visit(shard, stream())
    copy, known = visit(shard, learned(copy, 5))
    assert known
    assert [inflow(shard, s) for s in (STREAM, OTHER)] == [0, 5]
    other, _ = visit(shard, stream(stream_id=OTHER))
    assert other.model.item() == 5
    assert shard.regions[OTHER].account.steps == 0


def test_what_was_passed_on_does_not_come_back() -> None:
    shard = gateway()
    copy, _ = visit(shard, learned(stream(), 5))
    other, _ = visit(shard, stream(stream_id=OTHER))
    other, _ = visit(shard, learned(other, 7))
    copy, _ = visit(shard, copy)
    for _ in range(3):
        other, _ = visit(shard, other)
        copy, _ = visit(shard, copy)
    assert (copy.model.item(), other.model.item()) == (12, 12)


def test_its_own_steps_are_nothing_new_to_the_other_region() -> None:
    shard = gateway()
    shard.take_in(steps(3))
    copy, _ = visit(shard, stream())
    visit(shard, copy)
    assert [inflow(shard, s) for s in (STREAM, OTHER)] == [3, 3]


def test_a_stream_that_comes_back_as_it_left_is_no_news() -> None:
    shard = gateway()
    copy, _ = visit(shard, learned(stream(), 5))
    entries = shard.regions[OTHER].account.entries
    copy, known = visit(shard, replace(copy, hop=copy.hop + 4))
    assert known
    assert shard.regions[OTHER].account.entries == entries


def test_what_a_re_issued_copy_does_not_know_is_taken_back_until_it_comes_again() -> None:
    shard = gateway()
    old, _ = visit(shard, stream())
    visit(shard, learned(old, 5))
    again, _ = visit(shard, replace(old, fence=old.fence._replace(generation=9)))
    assert inflow(shard, OTHER) == 0
    visit(shard, learned(again, 5))
    assert inflow(shard, OTHER) == 5


def test_rates_are_passed_on_too() -> None:
    shard = gateway(drift_correction=True)
    copy, _ = visit(shard, stream(rate=vector(0)))
    visit(shard, replace(learned(copy, 5), rate=vector(2)))
    assert shard.regions[OTHER].account.inflow == cargo(5, rate=2)


def test_where_one_stream_comes_nothing_is_passed_on() -> None:
    shard = one_region()
    known = [visit(shard, learned(stream(), n))[1] for n in range(3)]
    assert known == [True] * 3
    assert shard.regions[STREAM].content is None


def test_equal_fence_and_changes_mean_equal_cargo() -> None:
    copy = stream(changes=3)
    assert content_of(copy) == content_of(replace(copy, hop=9)) == Content(copy.fence, 3)
    assert content_of(copy) != content_of(learned(copy, 1))


def reopened_account() -> Account:
    return replace(account(), deposit=None)


def test_after_a_loss_only_what_is_learned_from_then_on_is_passed_on() -> None:
    shard = gateway()
    shard.regions[STREAM] = Region(account=reopened_account())
    copy, known = visit(shard, learned(stream(), 5))
    assert not known
    assert inflow(shard, OTHER) == 0
    _, known = visit(shard, learned(copy, 2))
    assert known
    assert inflow(shard, OTHER) == 2


def test_who_does_not_know_what_it_passed_on_passes_on_nothing_in_this_session() -> None:
    shard = gateway()
    shard.blind = True
    shard.regions[STREAM] = Region(account=reopened_account())
    copy, known = visit(shard, learned(stream(), 5))
    assert not known
    copy, known = visit(shard, copy)
    assert known  # there was nothing new
    _, known = visit(shard, learned(copy, 2))
    assert not known
    assert inflow(shard, OTHER) == 0
    assert shard.regions[STREAM].account.deposit is None  # nor is it known in the next session


# --- news ----------------------------------------------------------------------------------------


def test_a_visit_tells_the_shard_how_old_the_streams_news_is() -> None:
    shard = gateway()
    assert shard.regions[STREAM].news == NO_NEWS
    told = Visit(life=1, number=1, hop=1, steps=0, born_seconds=3.0, behind=2)
    shard.visited_by(stream(visits={A: told}), content_of(stream()), offset_seconds=100.0)
    assert shard.regions[STREAM].news == News(2, 103.0)


# --- who is done ---------------------------------------------------------------------------------


def finished(stream_id: StreamId, *nodes: NodeId) -> Stream:
    return stream(stream_id=stream_id, finished=frozenset(nodes))


def test_a_region_is_complete_when_all_others_in_it_have_finished() -> None:
    shard = gateway()
    for nodes, complete in (((), False), ((B,), False), ((A,), True), ((A, B), True)):
        copy = finished(STREAM, *nodes)
        shard.visited_by(copy, content_of(copy), offset_seconds=0.0)
        assert shard.regions[STREAM].complete is complete


def test_a_gateway_has_finished_for_a_stream_when_all_behind_it_have() -> None:
    shard = gateway()
    shard.regions[OTHER].complete = True
    assert not shard.finished_for(STREAM)  # it still trains itself
    shard.trained = True
    assert shard.finished_for(STREAM)
    assert not shard.finished_for(OTHER)  # A may still train
    shard.regions[STREAM].complete = True
    assert shard.finished_for(OTHER)


def test_whoever_has_nobody_behind_it_has_finished_with_its_own_training() -> None:
    shard = one_region()
    assert not shard.finished_for(STREAM)
    shard.trained = True
    assert shard.finished_for(STREAM)


# --- what the node goes on from ------------------------------------------------------------------


def test_a_rebase_keeps_what_the_gate_holds_back_on_top() -> None:
    shard = after_a_contribution()
    rebase = shard.rebase(stream(model=vector(100)))
    assert (rebase.shard, rebase.model, rebase.correction) == (SHARD, vector(102), None)
    shard.bank(now=99.0)
    assert shard.rebase(stream(model=vector(100))).model == vector(100)


def test_the_correction_is_the_mean_rate_less_the_nodes_own() -> None:
    shard = one_region(drift_correction=True)
    shard.ledger = replace(shard.ledger, rate=vector(4))
    assert shard.rebase(stream(rate=vector(6))).correction == vector(2)


def test_rates_that_were_not_given_yet_count_as_zero() -> None:
    shard = one_region(drift_correction=True)
    shard.ledger = replace(shard.ledger, rate=vector(4))
    assert shard.rebase(stream(rate=vector(0))).correction == vector(-4)


def test_there_is_no_correction_before_the_nodes_own_rate_is_known() -> None:
    shard = one_region(drift_correction=True)
    assert shard.rebase(stream(rate=vector(3))).correction is None


def test_accounts_are_as_the_states_say() -> None:
    shard = gateway()
    assert {region.account.life for region in shard.regions.values()} == {LIFE}
    assert np.array_equal(shard.regions[STREAM].account.inflow.model, vector(0))
