"""What outlives a session: what it begins with, a new account, and rates that are measured anew."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import numpy as np

from flwr_digest.core.account import contribute, deposit, settle
from flwr_digest.core.ids import NO_FENCE, Fence
from flwr_digest.core.state import StationState, first_state, for_new_session, reopened
from tests.support.world import World
from tests.unit.core.builders import LIFE, STREAM, A, B, C, cargo, stream, vector

MEMBERS = [A, B, C]


def with_rates() -> StationState:
    """Return the state of a node that has given a rate, got others, and been visited twice."""
    start = for_new_session(first_state(STREAM, vector(1), LIFE), drift_correction=True)
    account, copy = contribute(start.account, cargo(2, rate=6), 1), start.kept
    settled = settle(account, copy, A, MEMBERS)
    account = contribute(settled.account, cargo(3, rate=1), 1)
    copy = settled.stream.with_cargo(settled.stream.cargo + cargo(10, rate=20))
    settled = settle(account, copy, A, MEMBERS)
    account, _ = deposit(settled.account, settled.stream)
    kept = replace(settled.stream, fence=Fence(3, B))
    return StationState(account=account, kept=kept, highest=kept.fence, rate=vector(7))


def test_every_node_begins_with_the_initial_model_and_an_account_of_its_own() -> None:
    state = first_state(STREAM, vector(1, 2), LIFE)
    assert state.kept.model.tolist() == [1, 2]
    assert (state.kept.hop, state.kept.visits, state.highest) == (0, {}, NO_FENCE)
    assert (state.account.life, state.account.steps, state.rate) == (LIFE, 0, None)
    assert state.account.inflow.model.tolist() == [0, 0]


def test_in_a_new_session_all_rates_are_gone() -> None:
    state = for_new_session(with_rates(), drift_correction=True)
    account = state.account
    cargos = [state.kept.cargo, account.inflow, *(e.inflow for e in account.applied.values())]
    assert account.deposit is not None
    for found in (*cargos, account.deposit):
        assert found.rate == vector(0)
    assert state.rate is None


def test_in_a_new_session_models_steps_and_history_are_what_they_were() -> None:
    before, after = with_rates(), for_new_session(with_rates(), drift_correction=True)
    assert (before.kept.model, before.kept.visits) == (after.kept.model, after.kept.visits)
    assert before.kept.order == after.kept.order
    assert (before.account.steps, before.account.entries) == (2, 2)
    assert (after.account.steps, after.account.entries) == (2, 2)
    for number, entry in before.account.applied.items():
        assert entry.inflow.model == after.account.applied[number].inflow.model
    assert before.account.deposit is not None
    assert after.account.deposit is not None
    assert before.account.deposit.model == after.account.deposit.model


def test_a_session_without_drift_correction_carries_no_rates() -> None:
    state = for_new_session(with_rates(), drift_correction=False)
    account = state.account
    cargos = [state.kept.cargo, account.inflow, *(e.inflow for e in account.applied.values())]
    assert [found.rate for found in cargos] == [None] * len(cargos)


def test_drift_correction_can_begin_in_any_session() -> None:
    plain = first_state(STREAM, vector(1), LIFE)
    state = for_new_session(plain, drift_correction=True)
    assert state.kept.rate == state.account.inflow.rate == vector(0)


def test_the_accounts_go_on_exactly_in_a_new_session() -> None:
    state = for_new_session(with_rates(), drift_correction=True)
    account = contribute(state.account, cargo(5, rate=4), 1)
    copy = settle(account, state.kept, A, MEMBERS).stream
    assert copy.cargo == cargo(state.kept.model.item() + 5, rate=4)


def test_who_has_left_for_good_leaves_no_rate_behind() -> None:
    world = World(graph=nx.path_graph(3), drift_correction=True)
    for node in world.members:
        world.train(node, 30)
    world.finish_session()
    assert nodes_with_a_rate(world) == 3
    world.next_session(nx.path_graph(2))
    for node in world.members:
        world.train(node, 30)
    world.finish_session()
    assert nodes_with_a_rate(world) == 2


def nodes_with_a_rate(world: World) -> int:
    """Return how many nodes' rates the stream has; each node's has a coordinate of its own."""
    kept = max((state.states[STREAM].kept for state in world.nodes.values()), key=lambda k: k.order)
    assert kept.rate is not None
    return int(np.count_nonzero(kept.rate))


def test_a_new_account_has_given_nothing_and_knows_nothing_of_what_it_passed_on() -> None:
    before = with_rates()
    state = reopened(before, life=LIFE + 1)
    assert (state.account.life, state.account.steps, state.account.latest) == (LIFE + 1, 0, 0)
    assert (state.account.deposit, state.rate) == (None, None)
    assert state.kept is before.kept
    assert state.highest == before.highest


def test_a_new_account_fits_the_copies_that_are_about() -> None:
    state = reopened(with_rates(), life=LIFE + 1)
    account = contribute(state.account, cargo(5, rate=4), 1)
    settled = settle(account, stream(rate=vector(9)), A, MEMBERS)
    assert settled.stream.cargo == cargo(5, rate=13)
    assert settled.forfeited_steps == 0
