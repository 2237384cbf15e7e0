"""Links that break, and peers that break the rules: the others go on, and the work stays exact."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from queue import SimpleQueue
from threading import Event

import grpc
import numpy as np
import pytest

from flwr_digest.core.ids import NodeId, ShardId
from flwr_digest.core.messages import Hop
from flwr_digest.core.stream import Stream
from flwr_digest.core.vector import Vector
from flwr_digest.errors import DigestError
from flwr_digest.overlay import session as session_module
from flwr_digest.overlay.bundle import unbundled
from flwr_digest.overlay.frames import Codec
from flwr_digest.overlay.hello import LinkHello, refusal
from tests.support import overlay_raw
from tests.support.overlay_proxy import Proxy
from tests.support.overlay_session import (
    LONGEST_SECONDS,
    QUICK_SECONDS,
    STREAM,
    Company,
    eventually,
    linked,
    overlay_threads,
)

BRIEF_SECONDS = 0.5  # how long a peer that hangs is waited for


def hello_of(company: Company, node: int) -> bytes:
    return LinkHello(
        session=company.session,
        node=NodeId(node),
        layout=company.layout.fingerprint,
        about=str(company.layout),
    ).to_frame()


def logged(log: list[str], words: str) -> bool:
    """Wait until a line with these words is logged; return whether it was."""
    return eventually(lambda: any(words in line for line in list(log)))


# --- peers that break the rules -----------------------------------------------------------------


def attacks(company: Company) -> dict[str, tuple[list[bytes], str]]:
    """Return what a peer sends after its hello, and how it is told off."""
    codec = Codec(frozenset(company.nodes), {STREAM: company.size})
    sick = np.full(company.size, np.nan, dtype=np.float32)
    header, chunk = codec.encode(Hop(stream=Stream(stream_id=STREAM, model=sick)))
    huge = header[:36] + struct.pack("<Q", 2**60) + header[44:]
    return {
        "unknown kind": ([b"\xff what?"], "a frame of unknown kind ff"),
        "no stream": ([chunk], "model bytes without a stream that announced them"),
        "cut short": ([header[:-1]], f"a frame of {len(header) - 1} bytes ends too early"),
        "huge": ([huge], f"stream 0 announced with {2**60} bytes; the plan has 256"),
        "not a number": ([header, chunk], "a model with NaN or infinite values"),
        "hello twice": ([hello_of(company, 1)], "a frame of kind HELLO out of place"),
    }


@pytest.mark.parametrize("attack", attacks(Company(count=4, insecure=True)))
def test_a_caller_that_breaks_the_protocol_loses_its_link(attack: str, log: list[str]) -> None:
    company = Company(count=4, insecure=True)
    company.add_all(but=(1,))
    company.expect_absent(1)
    frames, told = attacks(company)[attack]
    target = company.members[NodeId(2)]
    answers: list[bytes] = []

    def strike(number: int) -> None:
        if number == 1:
            said = iter([hello_of(company, 1), *frames])
            answers.extend(overlay_raw.call(company.addresses[NodeId(2)], said))
            assert logged(log, f"node 2 lost its link to node 1: it broke the protocol: {told}")

    target.on_round = strike

    company.run()

    company.check()
    assert answers[0] == hello_of(company, 2)
    assert answers[-1] == refusal(told)
    assert company.slowest_leave() < QUICK_SECONDS


def test_one_that_is_dialled_and_breaks_the_protocol_hears_why(log: list[str]) -> None:
    company = Company(count=4, start=1, insecure=True)
    company.add_all(but=(3,))
    company.expect_absent(3, "refused: once is enough")
    heard: SimpleQueue[list[bytes]] = SimpleQueue()
    struck = Event()

    def strike_once(frames: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        caller = LinkHello.from_frame(next(frames)).node
        if caller != 0 or struck.is_set():
            yield refusal("once is enough")
            return
        struck.set()
        yield hello_of(company, 3)
        yield b"\xff what?"
        heard.put([bytes(frame) for message in frames for frame in unbundled(message)])

    with overlay_raw.serving(company.addresses[NodeId(3)], strike_once):
        company.run()

    company.check()
    assert heard.get(timeout=LONGEST_SECONDS)[-1] == refusal("a frame of unknown kind ff")
    assert any(
        "node 0 lost its link to node 3: it broke the protocol: a frame of unknown kind ff" in line
        for line in log
    )
    assert "refused: once is enough" in company.members[NodeId(2)].report.unreached[NodeId(3)]
    assert company.slowest_leave() < QUICK_SECONDS


class Pauses(Event):
    """Notes for how long one would wait for it, and does not wait; later it does."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.enough = Event()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait only once there is enough."""
        if self.enough.is_set() or timeout is None:
            return super().wait(timeout)
        self.seconds.append(timeout)
        if len(self.seconds) == 8:
            self.enough.set()
        return self.is_set()


def test_one_that_always_breaks_the_protocol_is_dialled_less_and_less() -> None:
    company = Company(count=2, insecure=True)
    session, pauses = company.add(NodeId(0)).session, Pauses()
    session._dialers[0]._stopping = pauses
    calls: SimpleQueue[None] = SimpleQueue()

    def strike(frames: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        calls.put(None)
        yield hello_of(company, 1)
        yield b"\xff what?"
        list(frames)  # until it has said why it goes

    with overlay_raw.serving(company.addresses[NodeId(1)], strike), session:
        assert pauses.enough.wait(LONGEST_SECONDS)

    assert pauses.seconds == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert calls.qsize() >= len(pauses.seconds)


def test_a_stubborn_peer_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It links, hears the goodbye, and never ends the call."""
    monkeypatch.setattr(session_module, "GOODBYE_SECONDS", BRIEF_SECONDS)
    company = Company(count=2, insecure=True, rounds=0)
    company.add(NodeId(0), session_seconds=BRIEF_SECONDS)

    def stay(frames: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield hello_of(company, 1)
        yield from overlay_raw.stay_silent(frames, context)

    with overlay_raw.serving(company.addresses[NodeId(1)], stay):
        company.run()
        assert eventually(lambda: overlay_threads() == []), overlay_threads()

    assert company.members[NodeId(0)].report.unreached == {}
    assert company.slowest_leave() < QUICK_SECONDS


# --- links that break ---------------------------------------------------------------------------


def test_a_link_cut_in_the_middle_of_a_model_comes_back_and_the_work_is_exact() -> None:
    company = Company(count=4, size=500_000, rounds=5)  # 2 MB
    with Proxy(company.addresses[NodeId(1)], cut_after_bytes=1_000_000) as proxy:
        company.dialled_at[NodeId(0), NodeId(1)] = proxy.address
        company.add_all()
        dialling = company.members[NodeId(0)]

        def await_return(number: int) -> None:
            if number == 4:
                assert proxy.await_connections(2)
                assert linked(dialling.session, NodeId(1))

        dialling.on_round = await_return
        company.run()

    company.check()
    dialled = company.members[NodeId(1)]
    ends = [dialling.report.traffic[NodeId(1)], dialled.report.traffic[NodeId(0)]]
    assert sum(traffic.payload_bytes_sent for traffic in ends) > 1_000_000
    assert company.slowest_leave() < QUICK_SECONDS


def test_links_that_break_again_and_again_cost_no_step() -> None:
    company = Company(count=4, rounds=6)
    with Proxy(company.addresses[NodeId(1)]) as proxy:
        company.dialled_at[NodeId(0), NodeId(1)] = proxy.address
        company.add_all()

        def cut(number: int) -> None:
            proxy.cut()

        for node in (0, 1):
            company.members[NodeId(node)].on_round = cut
        company.run()

    company.check()
    assert company.slowest_leave() < QUICK_SECONDS


def test_nodes_whose_links_stay_broken_end_by_themselves_and_say_so(log: list[str]) -> None:
    company = Company(count=2, rounds=5)
    with Proxy(company.addresses[NodeId(1)]) as proxy:
        company.dialled_at[NodeId(0), NodeId(1)] = proxy.address
        company.add_all()

        def cut_for_good(number: int) -> None:
            if number == 4:
                proxy.close()
                for member in company.members.values():
                    member.trainer.expect_no_visits()

        for member in company.members.values():
            member.on_round = cut_for_good
        company.run()

    company.audit()
    for node, member in company.members.items():
        assert member.report.ending == "its links stayed broken"
        assert member.report.seconds < company.session_seconds
        assert f"node {node} leaves: its links stayed broken" in log


def test_a_frozen_link_is_left_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "GOODBYE_SECONDS", BRIEF_SECONDS)
    company = Company(count=4, session_seconds=2.0)  # it may take until then
    with Proxy(company.addresses[NodeId(1)]) as proxy:
        company.dialled_at[NodeId(0), NodeId(1)] = proxy.address
        company.add_all()

        def freeze(number: int) -> None:
            if number == 2:
                proxy.freeze()
                for member in company.members.values():
                    member.trainer.expect_no_visits()

        company.members[NodeId(0)].on_round = freeze

        company.run()

        company.audit()
        assert company.slowest_leave() < QUICK_SECONDS
        assert eventually(lambda: overlay_threads() == []), overlay_threads()


# --- nodes that fail ----------------------------------------------------------------------------


def test_the_others_go_on_without_a_node_whose_training_fails() -> None:
    company = Company(count=4)
    company.add_all()

    def fail(number: int) -> None:
        if number == 2:
            raise ZeroDivisionError("a user's error")

    company.members[NodeId(1)].on_round = fail

    company.run()

    company.check(1)
    assert isinstance(company.members[NodeId(1)].error, ZeroDivisionError)
    assert company.slowest_leave() < QUICK_SECONDS


@pytest.mark.parametrize("fatal", [1, 4])
def test_a_failure_of_the_overlay_reaches_the_training_thread(fatal: int, log: list[str]) -> None:
    """At the first visit of a node where the stream starts nobody is linked yet."""
    company = Company(count=4, start=2)
    company.add_all()
    failing = company.members[NodeId(2)]
    rebase = failing.trainer.rebase

    def fail(shard: ShardId, model: Vector, correction: Vector | None) -> None:
        if failing.trainer.visits == fatal - 1:
            raise ZeroDivisionError("a bug of ours")
        rebase(shard, model, correction)

    failing.trainer.rebase = fail  # type: ignore[method-assign]
    if fatal == 1:  # nobody will ever see a stream
        for node in (0, 1, 3):
            del company.members[NodeId(node)]

    company.run()

    assert isinstance(failing.error, DigestError)
    assert str(failing.error) == "the overlay failed: ZeroDivisionError('a bug of ours')"
    assert isinstance(failing.error.__cause__, ZeroDivisionError)
    assert failing.trainer.failure is failing.error
    with pytest.raises(DigestError, match="a bug of ours"):
        failing.session.check()
    assert any("node 2: the overlay failed" in line for line in log)
    if fatal != 1:
        company.check(2)
    assert company.slowest_leave() < QUICK_SECONDS


def test_links_that_come_after_the_driver_has_died_end_in_time() -> None:
    company = Company(count=3, rounds=1)
    company.add_all()
    failing = company.members[NodeId(0)]
    came = Event()

    def leave(number: int) -> None:
        came.wait(LONGEST_SECONDS)
        raise ZeroDivisionError("a user's error")

    for node in (1, 2):
        company.members[NodeId(node)].on_round = leave

    def fail(shard: ShardId, model: Vector, correction: Vector | None) -> None:
        came.wait(LONGEST_SECONDS)
        raise ZeroDivisionError("a bug of ours")

    failing.trainer.rebase = fail  # type: ignore[method-assign]

    with company.running():
        assert linked(company.members[NodeId(1)].session, NodeId(0))
        assert linked(company.members[NodeId(2)].session, NodeId(0))
        came.set()

    assert isinstance(failing.error, DigestError)
    assert company.slowest_leave() < QUICK_SECONDS
