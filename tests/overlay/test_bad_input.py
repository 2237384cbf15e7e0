"""What users and machines get wrong: a clear line about it, or a recovery, in bounded time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Event

import numpy as np
import pytest

from flwr_digest.core.ids import NodeId, ShardId
from flwr_digest.core.plan import PROTOCOL_VERSION
from flwr_digest.core.trainer import Taken
from flwr_digest.core.vector import Vector
from flwr_digest.errors import DivergedError
from flwr_digest.overlay import identity as identity_module
from tests.support import overlay_raw
from tests.support.overlay_process import apart
from tests.support.overlay_proxy import Proxy
from tests.support.overlay_session import (
    LONGEST_SECONDS,
    STREAM,
    Company,
    Member,
    eventually,
    overlay_threads,
)

ALONE_SECONDS = 0.1  # a node that nobody talks to leaves then, once all have looked
ROUNDS, LAST_ROUNDS = 12, 8
MODEL_VALUES = 550_000  # 2.2 MB: two chunks
MID_TRANSFER_BYTES = 7_000_000  # in the middle of the fourth hop over the link


def reason(company: Company, node: int, peer: int) -> str:
    """Return why a node never reached a peer: one line, without the address at its start."""
    text = company.members[NodeId(node)].report.unreached[NodeId(peer)]
    assert "\n" not in text
    return text.partition(": ")[2]


def odd_one(company: Company, node: int) -> Member:
    """Add a node that will stay alone; it makes no steps."""
    member = company.add(NodeId(node), session_seconds=ALONE_SECONDS)
    member.rounds = 0
    return member


# --- wrong addresses ----------------------------------------------------------------------------


@pytest.mark.parametrize("insecure", [True, False], ids=["plaintext", "TLS"])
def test_the_address_of_another_node_is_noticed_on_the_first_word(insecure: bool) -> None:
    company = Company(count=4, insecure=insecure)
    company.dialled_at[NodeId(0), NodeId(3)] = company.addresses[NodeId(2)]
    company.add_all()
    company.expect_no_link(0, 3, "refused" if insecure else "another certificate")
    company.expect_no_link(3, 0)

    company.run()

    company.check()  # by way of the others
    told = reason(company, 0, 3)
    if insecure:
        assert told == "refused: node 0 has no link to dial node 2 in this plan"
    else:
        assert told.startswith("it shows another certificate than the plan's")
    assert company.members[NodeId(0)].missed == {3}


def test_a_name_that_does_not_resolve_is_named() -> None:
    company = Company(count=4, insecure=True)
    company.dialled_at[NodeId(0), NodeId(3)] = "nowhere.invalid:7100"
    company.add_all()
    company.expect_no_link(0, 3, "does not resolve")
    company.expect_no_link(3, 0)

    company.run()

    company.check()
    assert reason(company, 0, 3) == "the name nowhere.invalid does not resolve"


# --- wrong certificates -------------------------------------------------------------------------


@pytest.mark.parametrize("odd", [1, 3], ids=["dials some", "is dialled"])
def test_an_expired_certificate_is_told_from_a_wrong_one(
    odd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = Company(count=4)
    with monkeypatch.context() as patch:
        patch.setattr(identity_module, "LIFETIME", timedelta(hours=-1))
        company.identities[NodeId(odd)] = identity_module.new_identity(NodeId(odd))
    odd_one(company, odd)
    company.add_all()
    for peer in (0, 2):
        # TLS tells a client no more than that it was not let in.
        company.expect_no_link(odd, peer, "or one that has expired?" if odd < peer else "")
        company.expect_no_link(peer, odd, "its certificate has expired" if peer < odd else "")

    company.run()

    company.check(odd)
    for peer in (0, 2):
        assert reason(company, peer, odd) == (
            "its certificate has expired (are both clocks right?)"
        )
        if odd < peer:
            assert "(has it another certificate of this node, or one that has expired?)" in reason(
                company, odd, peer
            )


# --- other versions -----------------------------------------------------------------------------


def test_another_version_at_the_other_end_is_named_by_the_one_that_dials() -> None:
    company = Company(count=4, insecure=True)
    company.add_all(but=(3,))
    company.expect_absent(3, "protocol version 99")

    def answer(frames: object, context: object) -> Iterator[bytes]:
        yield b'\x01{"version": 99, "who": "a node of the future"}'

    with overlay_raw.serving(company.addresses[NodeId(3)], answer):
        company.run()

    company.check()
    for peer in (0, 2):
        told = (
            f"it speaks protocol version 99, this node {PROTOCOL_VERSION}: "
            "install the same flwr-digest on all nodes"
        )
        assert reason(company, peer, 3) == told


# --- wrong numbers ------------------------------------------------------------------------------


def test_one_whose_training_diverges_spoils_nobody_elses_model(log: list[str]) -> None:
    company = Company(count=4, insecure=True)
    company.add_all()
    sick = company.members[NodeId(2)]
    take: Callable[[ShardId], Taken | None] = sick.trainer.take

    def diverged(shard: ShardId) -> Taken | None:
        taken = take(shard)
        if taken is not None and sick.trainer.visits >= 3:
            return taken._replace(displacement=np.full_like(taken.displacement, np.inf))
        return taken

    sick.trainer.take = diverged  # type: ignore[method-assign]

    company.run()

    for node in (0, 1, 3):
        member = company.members[NodeId(node)]
        assert member.error is None
        for state in member.session.final_states.values():
            assert np.isfinite(state.kept.model).all()
            own = company.work.contained(state.kept, NodeId(node), 1)
            assert own <= company.work.made[NodeId(node), 1] + 1e-3
    assert isinstance(sick.error, DivergedError)
    assert any("the training has diverged" in line for line in log)


# --- nodes that are gone in the middle of a model -----------------------------------------------


@pytest.fixture
def company() -> Company:
    return Company(count=4, insecure=True, size=MODEL_VALUES, rounds=ROUNDS)


def run_with(
    company: Company,
    harm: Callable[[], None],
    on_visit: Callable[[], None] = lambda: None,
    over: Event | None = None,
) -> None:
    """Run all but node 2, which runs elsewhere; do harm while a model is on its way to it.

    `on_visit` is called at each visit to node 0, which has no link to node 2. Nobody trains to its
    end before the harm is done, and is over.
    """
    done = Event()

    def await_harm(number: int) -> None:
        if number == LAST_ROUNDS:  # streams go round meanwhile
            assert done.wait(LONGEST_SECONDS)
            assert over is None or over.wait(LONGEST_SECONDS)

    def once(passed: int) -> None:
        if passed > MID_TRANSFER_BYTES and not done.is_set():
            done.set()
            harm()

    with Proxy(company.addresses[NodeId(2)], passing=once) as proxy:
        company.dialled_at[NodeId(1), NodeId(2)] = proxy.address
        company.add_all(but=(2,))
        for member in company.members.values():
            member.on_round = await_harm
        trainer = company.members[NodeId(0)].trainer
        rebase = trainer.rebase

        def visited(shard: ShardId, model: Vector, correction: Vector | None) -> None:
            rebase(shard, model, correction)
            on_visit()

        trainer.rebase = visited  # type: ignore[method-assign]
        company.run()
    assert done.is_set()


def sent_in_vain(company: Company) -> int:
    """Return how often a hop has been sent again, or another way, so far."""
    totals = [member.report.totals() for member in company.members.values()]
    return sum(each["resends"] + each["reroutes"] for each in totals)


def test_the_others_go_on_without_one_that_is_killed_in_the_middle_of_a_model(
    company: Company,
) -> None:
    with apart(company, 2) as other:
        run_with(company, other.kill)

    company.check()
    for member in company.members.values():
        assert member.report.ending == "the session closed"


def test_one_that_is_frozen_in_the_middle_of_a_model_comes_back_and_nothing_is_lost(
    company: Company, log: list[str]
) -> None:
    frozen, back = Event(), Event()
    visits_at_thaw: list[int] = []
    with apart(company, 2) as other:

        def freeze() -> None:
            other.freeze()
            frozen.set()

        def thaw() -> None:
            """Let it go on once the others have sent again, or gone another way, because of it."""
            node = company.members[NodeId(0)].session.driver.node  # in whose thread this is
            visits = node.stations[STREAM].kept.last_visit(NodeId(2)).number
            if visits_at_thaw:
                if visits > visits_at_thaw[0]:
                    back.set()
            elif frozen.is_set() and sent_in_vain(company) > 0:
                visits_at_thaw.append(visits)
                other.thaw()

        run_with(company, freeze, thaw, back)
        assert other.ended_well()

    company.audit()
    expected = np.zeros(company.size, dtype=np.float32)
    expected[: company.count] = company.rounds * company.steps / company.count
    for member in company.members.values():
        np.testing.assert_allclose(member.trainer.model, expected, rtol=1e-5)
        assert member.report.ending == "the session closed"
    assert not any("broke the protocol" in line for line in log)
    assert eventually(lambda: overlay_threads() == []), overlay_threads()


@pytest.mark.exhaustive
def test_one_that_stays_frozen_is_found_dead_and_the_others_end_well(company: Company) -> None:
    """By gRPC's keepalive: it takes half a minute."""
    with apart(company, 2) as other:
        run_with(company, other.freeze)

    company.audit()
    for member in company.members.values():
        assert member.report.ending == "the session closed"
        assert member.report.seconds < company.session_seconds
        for node in (0, 1, 3):
            held = company.work.contained(member.session.final_states[STREAM].kept, NodeId(node), 1)
            assert held == pytest.approx(company.rounds * company.steps)
