"""What holds whatever carries the messages: each scenario in the simulator, in memory, on loopback.

Every copy is checked on its way, as far as the carrier lets it be seen, and `end` checks that the
session ends, that nothing is counted twice, and that nothing is lost of those who stayed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from flwr_digest.overlay import dialer
from tests.support.contract import Company, Fault, Make, Setup
from tests.support.contract_memory import InMemory
from tests.support.contract_overlay import OnLoopback
from tests.support.contract_simulator import Simulated
from tests.support.places import socket_folder

MOST_PAUSE_SECONDS = 0.2  # until a link that is healed is dialled again


@pytest.fixture(params=["simulator", "memory", "overlay"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make a company of the carrier that the scenario runs on."""
    monkeypatch.setattr(dialer, "LONGEST_PAUSE_SECONDS", MOST_PAUSE_SECONDS)
    with ExitStack() as stack:
        yield lambda setup: _made(setup, request.param, stack)


def _made(setup: Setup, carrier: str, stack: ExitStack) -> Company:
    if carrier == "simulator":
        return Simulated(setup)
    if carrier == "memory":
        return InMemory(setup)
    company = OnLoopback(setup, stack.enter_context(socket_folder()))
    stack.callback(company.close)
    return company


# --- deliver --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "setup",
    [
        Setup(),
        Setup(count=2, topology="path"),
        Setup(count=5, topology="small-world", shards=3),
        Setup(count=6, topology="ring", regions=2),
        Setup(count=5, topology="complete", shards=2, regions=2),
    ],
    ids=["ring", "pair", "shards", "regions", "shards and regions"],
)
def test_all_steps_are_delivered_once(make: Make, setup: Setup) -> None:
    company = make(setup)
    for _ in range(3):
        company.train()

    company.end()

    assert all(company.visited_since(node) for node in range(setup.count))
    counts = company.counts()
    assert counts["visits"] >= 9 * setup.count
    assert counts["reissues"] == 0 or company.real_time


# --- lose and duplicate ---------------------------------------------------------------------------


def efforts(company: Company, kind: str) -> int:
    """Return how often something was done about losses of that kind.

    Whether a copy is sent again, or another way, or another one is put in its place, depends on
    who has waited for long enough first: in real time all of it counts.
    """
    counts = company.counts()
    if not company.real_time:
        return counts[kind]
    return counts["resends"] + counts["reroutes"] + counts["reissues"]


def test_a_hop_that_is_lost_is_sent_again(make: Make) -> None:
    company = make(Setup())
    company.train()
    company.befall(Fault.LOSE_HOP)
    company.train()

    company.end()

    assert efforts(company, "resends") >= 1


def test_a_hop_whose_receipt_is_lost_counts_once(make: Make) -> None:
    """It is sent again, unless the stream has come round before."""
    company = make(Setup())
    company.train()
    company.befall(Fault.LOSE_RECEIPT)
    company.train()

    company.end()


def test_a_hop_that_comes_twice_counts_once(make: Make) -> None:
    company = make(Setup())
    company.train()
    for _ in range(3):
        company.befall(Fault.DOUBLE_HOP)
        company.train()

    company.end()

    assert company.counts()["stale_drops"] >= 3


def test_many_losses_cost_no_step(make: Make) -> None:
    company = make(Setup(count=5, shards=2, regions=2))
    company.train()
    for fault in (Fault.LOSE_HOP, Fault.DOUBLE_HOP, Fault.LOSE_RECEIPT) * 2:
        company.befall(fault)
    company.train()

    company.end()

    assert efforts(company, "resends") >= 1


# --- another way ----------------------------------------------------------------------------------


def test_a_stream_goes_round_a_link_that_is_down_and_takes_it_again(make: Make) -> None:
    company = make(Setup())
    company.train()
    company.cut(1, 2)
    company.train()
    company.heal(1, 2)
    company.train()

    company.end()

    assert all(company.visited_since(node) for node in range(4))


def test_a_stream_takes_another_way_round_a_link_that_swallows_all(make: Make) -> None:
    company = make(Setup())
    company.train()
    company.mute(1, 2)
    company.train()
    company.heal(1, 2)
    company.train()

    company.end()

    assert efforts(company, "reroutes") >= 1


def test_two_parts_go_on_apart_and_unite(make: Make) -> None:
    company = make(Setup())
    company.train()
    company.cut(0, 1)
    company.cut(2, 3)
    company.train()
    company.heal(0, 1)
    company.heal(2, 3)
    company.train()

    company.end()

    counts = company.counts()
    assert counts["reissues"] + counts["reroutes"] >= 1
    assert all(company.visited_since(node) for node in range(4))


# --- come and go ----------------------------------------------------------------------------------


@pytest.mark.parametrize("node", [0, 2], ids=["where the stream starts", "another"])
def test_a_node_that_restarts_with_its_state_goes_on(make: Make, node: int) -> None:
    company = make(Setup())
    company.train()
    company.kill(node)
    company.train()
    company.restart(node, with_state=True)
    company.train()

    company.end()

    assert company.visited_since(node)


def test_a_node_that_restarts_without_its_state_begins_anew(make: Make) -> None:
    company = make(Setup())
    company.train()
    company.kill(2)
    company.train()
    company.restart(2, with_state=False)
    company.train()

    company.end()

    assert company.visited_since(2)


def test_half_of_the_nodes_restart_one_after_the_other(make: Make) -> None:
    company = make(Setup(count=6, topology="small-world", shards=2))
    company.train()
    for node in (1, 2, 3):
        company.kill(node)
        company.train()
        company.restart(node, with_state=True)
    company.train()

    company.end()

    assert all(company.visited_since(node) for node in range(6))


def test_a_node_that_comes_late_joins(make: Make) -> None:
    company = make(Setup(absent=(2,)))
    company.train()
    company.join(2)
    company.train()

    company.end()

    assert company.visited_since(2)


def test_the_others_go_on_without_one_that_leaves(make: Make) -> None:
    company = make(Setup(count=5, topology="small-world"))
    company.train()
    company.leave(2)
    company.train()

    company.end()

    assert all(company.visited_since(node) for node in (0, 1, 3, 4))


# --- refuse ---------------------------------------------------------------------------------------


def test_one_that_breaks_the_rules_is_told_why_and_the_others_go_on(make: Make) -> None:
    company = make(Setup(absent=(1,)))
    company.train()
    reason = company.intrude(1, target=2)
    company.train()

    company.end()

    assert "stream 0" in reason
    assert all(company.visited_since(node) for node in (0, 2, 3))
