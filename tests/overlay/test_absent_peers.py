"""Neighbors that never link: each is named with its address and the cause, and nobody hangs."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Any

import grpc
import pytest

from flwr_digest.core.ids import NodeId
from flwr_digest.core.layout import Entry, Layout
from flwr_digest.core.plan import PROTOCOL_VERSION
from flwr_digest.overlay import dialer
from flwr_digest.overlay.hello import LinkHello, refusal, text_of
from tests.support import overlay_raw
from tests.support.overlay_session import LONGEST_SECONDS, QUICK_SECONDS, Company, Member

ALONE_SECONDS = 0.1  # a node that nobody talks to leaves then, once all have looked


def odd_one(company: Company, node: int, **changes: Any) -> Member:  # noqa: ANN401
    """Add a node that will stay alone; it makes no steps."""
    member = company.add(NodeId(node), session_seconds=ALONE_SECONDS, **changes)
    member.rounds = 0
    return member


def expect_strangers(company: Company, odd: int, words: str) -> None:
    """Let a node and its neighbors find out about each other in these words."""
    for peer in company.graph[NodeId(odd)]:
        company.expect_no_link(odd, peer, words)
        company.expect_no_link(peer, odd, words)


def reason(company: Company, node: int, peer: int) -> str:
    """Return why a node never reached a peer; checks that it is one line with the address."""
    text = company.members[NodeId(node)].report.unreached[NodeId(peer)]
    start = f"at {company.addresses[NodeId(peer)]}: "
    assert text.startswith(start)
    assert "\n" not in text
    return text.removeprefix(start)


def test_a_node_that_never_starts_is_named_by_those_that_dial_it(log: list[str]) -> None:
    company = Company(count=4)
    company.add_all(but=(3,))
    company.expect_absent(3, "nothing listens there")

    company.run()

    company.check()
    for node in (0, 2):
        assert company.members[NodeId(node)].missed == {3}
        assert reason(company, node, 3).startswith("nothing listens there")
    assert company.members[NodeId(1)].report.unreached == {}
    assert any(f"goes on without 3 at {company.addresses[NodeId(3)]}" in line for line in log)
    assert company.slowest_leave() < QUICK_SECONDS


def test_a_node_that_never_starts_is_named_by_those_that_it_should_dial() -> None:
    company = Company(count=4)
    company.add_all(but=(1,))
    company.expect_absent(1, "nothing listens there")

    company.run()

    company.check()
    for node in (0, 2):
        assert reason(company, node, 1).startswith("nothing listens there")


@pytest.mark.parametrize("odd", [1, 3], ids=["dials some", "is dialled"])
def test_plaintext_among_tls_is_named_on_both_sides(odd: int, log: list[str]) -> None:
    company = Company(count=4)
    odd_one(company, odd, insecure=True)
    company.add_all()
    for peer in (0, 2):  # whoever is dialled looks by itself, at last
        dials, dialled = sorted((odd, peer))
        company.expect_no_link(dials, dialled, "give both sides the same `insecure`")
        company.expect_no_link(dialled, dials)

    company.run()

    company.check(odd)
    for peer in (0, 2):
        assert reason(company, peer, odd) == (
            "it speaks plaintext, this node TLS: give both sides the same `insecure`"
        )
        told = f"{peer} at {company.addresses[NodeId(peer)]} (it speaks TLS, this node plaintext"
        assert company.members[NodeId(odd)].error is None
        assert any(f"node {odd} goes on without" in line and told in line for line in log), log
    assert company.slowest_leave() < QUICK_SECONDS


def test_other_models_are_refused_with_both_layouts_named(log: list[str]) -> None:
    company = Company(count=4, insecure=True)
    other = Layout((Entry("bias", (8, 8)),))
    odd_one(company, 3, layout=other)
    company.add_all()
    expect_strangers(company, 3, "refused: different models")

    company.run()

    company.check(3)
    for one, peer in ((0, 3), (2, 3)):
        assert reason(company, one, peer) == (
            f"refused: different models: node {one} has {company.layout}; node 3 has {other}"
        )
        told = f"different models: node {one} has {company.layout}; node 3 has {other}"
        assert any("refused a link from" in line and told in line for line in log)


def test_another_session_is_refused_on_both_sides(log: list[str]) -> None:
    company = Company(count=4, insecure=True)
    odd_one(company, 1, session="another")
    company.add_all()
    expect_strangers(company, 1, "in session")

    company.run()

    company.check(1)
    assert reason(company, 0, 1) == "refused: node 0 is in session a session, node 1 in another"
    assert reason(company, 2, 1) == "refused: node 1 is in session another, node 2 in a session"
    assert any("refused a link from" in line and "in another" in line for line in log)


def test_a_certificate_of_another_session_is_named() -> None:
    company = Company(count=3)
    stale = Company(count=3)
    company.add(NodeId(0))
    company.add(NodeId(1))
    company.identities[NodeId(2)] = stale.identities[NodeId(2)]
    odd_one(company, 2)
    for node in (0, 1):
        company.expect_no_link(node, 2, "another certificate")
        company.expect_no_link(2, node)

    company.run()

    company.check(2)
    for node in (0, 1):
        assert reason(company, node, 2) == (
            "it shows another certificate than the plan's (of another session or node?)"
        )


def test_a_neighbor_in_the_name_of_another_is_refused(log: list[str]) -> None:
    company = Company(count=3, start=1)
    own = company.identities[NodeId(0)]
    company.add(NodeId(1))
    company.add(NodeId(2))
    company.identities[NodeId(0)] = company.identities[NodeId(1)]  # node 1's, said to be node 0's
    odd_one(company, 0)
    company.identities[NodeId(0)] = own
    told = "its certificate is not that of node 0 in the plan"
    expect_strangers(company, 0, told)
    for one, other in ((0, 1), (1, 0)):  # TLS does not let it in
        company.expect_no_link(one, other)

    company.run()

    company.check(0)
    assert any("refused a link from" in line and told in line for line in log)
    assert told in reason(company, 0, 2)


def test_another_protocol_version_is_refused(log: list[str]) -> None:
    company = Company(count=3, start=1, insecure=True, rounds=1)
    company.add_all(but=(0,))
    company.expect_absent(0)
    answers: list[bytes] = []

    def knock(number: int) -> None:
        hello = b'\x01{"version": 99, "who": "a node of the future"}'
        answers.extend(overlay_raw.call(company.addresses[NodeId(1)], iter([hello])))

    company.members[NodeId(1)].on_round = knock

    company.run()

    company.check()
    told = (
        f"it speaks protocol version 99, this node {PROTOCOL_VERSION}: "
        "install the same flwr-digest on all nodes"
    )
    assert answers == [refusal(told)]
    assert any("refused a link from" in line and told in line for line in log)


def test_a_stranger_is_refused() -> None:
    company = Company(count=4, insecure=True, rounds=1)
    company.add_all()
    answers: list[bytes] = []
    hello = LinkHello(
        session=company.session, node=NodeId(2), layout=company.layout.fingerprint, about=""
    )

    def knock(number: int) -> None:
        answers.extend(overlay_raw.call(company.addresses[NodeId(0)], iter([hello.to_frame()])))

    company.members[NodeId(0)].on_round = knock

    company.run()

    company.check()
    assert [text_of(each) for each in answers] == ["node 2 has no link to dial node 0 in this plan"]


def test_one_that_never_says_hello_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialer, "HELLO_SECONDS", 0.5)  # those that link try until they are in time
    monkeypatch.setattr(dialer, "CONNECT_SECONDS", 0.5)
    company = Company(count=4, insecure=True)
    company.add_all(but=(3,))
    company.expect_absent(3, "does not say hello")

    with overlay_raw.serving(company.addresses[NodeId(3)], overlay_raw.stay_silent):
        company.run()

    company.check()
    for node in (0, 2):
        assert reason(company, node, 3) == "it accepts connections but does not say hello"
    assert company.slowest_leave() < QUICK_SECONDS


def test_leaving_does_not_wait_for_one_that_never_says_hello() -> None:
    company = Company(count=2, insecure=True, rounds=1)
    member = company.add(NodeId(0), session_seconds=ALONE_SECONDS)
    company.expect_no_link(0, 1)
    member.trainer.expect_no_visits()
    dialled = Event()
    member.on_round = lambda number: waited(dialled)

    def be_silent(frames: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        dialled.set()
        yield from overlay_raw.stay_silent(frames, context)

    with overlay_raw.serving(company.addresses[NodeId(1)], be_silent):
        company.run()

    assert member.error is None

    assert company.slowest_leave() < QUICK_SECONDS


def waited(event: Event) -> None:
    assert event.wait(LONGEST_SECONDS)


def test_steps_that_no_stream_took_up_are_counted_and_kept() -> None:
    company = Company(count=2)
    member = odd_one(company, 1)
    company.expect_no_link(1, 0)
    for _ in range(3):
        member.trainer.step()

    company.run()

    assert member.error is None
    assert member.report.unshared_steps == 3
    assert member.report.totals()["unshared_steps"] == 3
    (state,) = member.session.final_states.values()
    assert state.account.unshared_steps == 3
