"""Whatever a peer sends is a message of the plan, or it hears why not: no crash, no hang, no leak.

`pytest -m exhaustive tests/overlay/test_fuzz.py` tries 200,000 sequences instead of some thousands.
"""

from __future__ import annotations

import struct
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import grpc
import numpy as np
import pytest

from flwr_digest.core.config import NodeConfig, StreamPlan
from flwr_digest.core.effects import Send, SetTimer
from flwr_digest.core.events import LinkUp, MessageReceived, SessionStarted
from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.core.invariants import check_station
from flwr_digest.core.messages import Hop, Message
from flwr_digest.core.node import Node
from flwr_digest.core.state import first_state, for_new_session
from flwr_digest.core.stream import Stream
from flwr_digest.errors import RemoteProtocolError
from flwr_digest.overlay.assembler import Assembler
from flwr_digest.overlay.fields import NEWS, Frame
from flwr_digest.overlay.frames import Codec
from flwr_digest.overlay.hello import LinkHello, refusal, text_of
from flwr_digest.overlay.link import LOGGER, Link
from flwr_digest.overlay.traffic import Traffic
from tests.support import overlay_raw
from tests.support.overlay_frames import CODEC, CODEC_WITH_RATES, MEMBERS, same
from tests.support.overlay_fuzz import FLAGS, HARM_NAMES, VISITS, Case, Fuzzer, flipped
from tests.support.overlay_session import Company, eventually, overlay_threads

PEER = MEMBERS[1]
STREAM = StreamId(0)
MODEL = np.zeros(CODEC.sizes[STREAM], dtype=np.float32)
BROKE = "it broke the protocol: "
LONGEST_REASON = 300
CASES_PER_NODE = 25  # then its streams have orders so high that all is stale
KEPT_BYTES_PER_BYTE = 16
"""What a frame may cost in memory for each of its bytes. Measured: 12, for a visit of 24 bytes."""
SPARE_BYTES = 64_000
MOST_SECONDS = 550.0  # of the longest test; it takes a quarter of that


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Let thousands of refusals go without a line in the log."""
    LOGGER.disabled = True
    yield
    LOGGER.disabled = False


def any_node(codec: Codec) -> Node:
    """Return a node of the codec's plan that has links to all others."""
    members, me = frozenset(codec.members), NodeId(codec.members[0])
    streams = {
        stream_id: StreamPlan(shard=ShardId(shard), start=PEER, members=members)
        for shard, stream_id in enumerate(sorted(codec.sizes))
    }
    states = {
        stream_id: for_new_session(
            first_state(stream_id, np.zeros(size, dtype=np.float32), 1),
            drift_correction=codec.rates,
        )
        for stream_id, size in codec.sizes.items()
    }
    config = NodeConfig(
        node_id=me,
        topology={node: members - {node} for node in members},
        streams=streams,
        weight=1 / len(members),
        drift_correction=codec.rates,
    )
    node = Node(config, states)
    node.handle(SessionStarted(), 0.0)
    for peer in config.neighbors:
        node.handle(LinkUp(peer=peer), 0.0)
    return node


class Exact(Codec):
    """Reads frames, and makes sure that it would have written them in the same bytes.

    Two things are left to the writer: in which order visits and links come, and whether the age of
    news is there though it says nothing.
    """

    def decode_small(self, frame: Frame) -> Message:
        message = super().decode_small(frame)
        assert next(self.encode(message)) == frame
        return message

    def decode_hop(self, frame: Frame) -> Stream:
        stream = super().decode_hop(frame)
        empty = np.zeros(self.sizes[stream.stream_id], dtype=np.float32)
        whole = replace(stream, model=empty, rate=empty if self.rates else None)
        again = next(self.encode(Hop(stream=whole)))
        if frame[FLAGS] == again[FLAGS]:
            assert sorted(frame) == sorted(again)
        else:
            assert len(frame) == len(again) + NEWS.size * len(stream.visits)
        return stream


class Victim:
    """A node's end of a link, from the frames to the core; every case is a link of its own."""

    def __init__(self, codec: Codec) -> None:
        self.codec = Exact(frozenset(codec.members), codec.sizes, rates=codec.rates)
        self.outcomes = Counter[str]()
        self.reasons = set[str]()
        self._cases = 0
        self._node = any_node(codec)

    def meet(self, case: Case) -> None:
        """Take a case in; fail where it does more harm than it may."""
        if self._cases % CASES_PER_NODE == 0:
            self._node = any_node(self.codec)
        self._cases += 1
        link = Link(peer=PEER, codec=self.codec, traffic=Traffic())
        ending = link.incoming(case.frames, self._deliver)
        said = list(link.outgoing())
        assert said or not link.refused, f"{case.harm}: it does not hear why"
        if ending.startswith(BROKE):
            reason = ending.removeprefix(BROKE)
            assert reason, f"{case.harm}: no reason"
            assert reason.isprintable(), reason
            assert len(reason) < LONGEST_REASON, reason
            assert said == [refusal(reason)]
            self.reasons.add(reason)
            self.outcomes["refused"] += 1
        else:
            assert not link.refused
            self.outcomes["not refused"] += 1

    def _deliver(self, link: Link, message: Message) -> None:
        self.outcomes["messages"] += 1
        check_that_it_means_one_thing(self.codec, message)
        try:
            effects = self._node.handle(MessageReceived(peer=PEER, message=message), 0.0)
        except RemoteProtocolError:
            self.outcomes["refused by the core"] += 1
            return
        for effect in effects:
            if isinstance(effect, Send):
                list(self.codec.encode(effect.message))
            elif isinstance(effect, SetTimer):
                assert np.isfinite(effect.at)
        for station in self._node.stations.values():
            check_station(station)


def check_that_it_means_one_thing(codec: Codec, message: Message) -> None:
    """Check that a message that was accepted is what an honest peer would say in the same words."""
    if isinstance(message, Hop):
        assert np.isfinite(message.stream.model).all()
    assembler = Assembler(codec)
    *_, again = (assembler.feed(frame) for frame in codec.encode(message))
    assert again is not None
    assert same(again, message)


def fuzz(count: int) -> Counter[str]:
    """Try so many cases; return what came of them."""
    outcomes = Counter[str]()
    for seed, codec in enumerate((CODEC, CODEC_WITH_RATES)):
        victim = Victim(codec)
        for case in Fuzzer(seed, codec).cases(count // 2):
            victim.meet(case)
        outcomes += victim.outcomes
    return outcomes


def test_whatever_comes_is_understood_or_refused_with_a_reason() -> None:
    outcomes = fuzz(4_000)

    assert min(outcomes[name] for name in ("refused", "not refused", "messages")) > 400, outcomes


@pytest.mark.exhaustive
def test_whatever_comes_200_000_times_is_understood_or_refused_with_a_reason() -> None:
    outcomes = fuzz(200_000)

    assert outcomes["refused"] + outcomes["not refused"] == 200_000
    assert min(outcomes[name] for name in ("refused", "not refused", "messages")) > 20_000


@pytest.mark.parametrize("harm", HARM_NAMES)
def test_each_harm_is_noticed(harm: str) -> None:
    """Each is refused now and then, or it would test nothing; some of it is harmless."""
    victim = Victim(CODEC)
    fuzzer = Fuzzer(7, CODEC)

    for _ in range(100):
        victim.meet(fuzzer.case(harm))

    assert victim.outcomes["refused"] >= 10


@pytest.mark.parametrize(
    ("dead", "visited", "told"),
    [
        ([], [7, 7], "stream 0 names a visit or a dead link twice"),
        ([(0, 1), (1, 0)], [], "stream 0 names a visit or a dead link twice"),
        ([(3, 3)], [], "a link between nodes 3 and 3: no such rank"),
    ],
)
def test_a_hop_that_says_two_things_at_once_is_refused(
    dead: list[tuple[int, int]], visited: list[int], told: str
) -> None:
    """What is accepted must mean the same to all who pass it on."""
    plain = next(CODEC.encode(Hop(stream=Stream(stream_id=STREAM, model=MODEL))))
    visits = b"".join(struct.pack("<QIIII", node, 1, 2, 3, 4) for node in visited)
    links = b"".join(struct.pack("<HH", *pair) for pair in dead)
    forged = b"".join(
        [
            plain[:VISITS],
            struct.pack("<H", len(visited)) + visits,
            plain[VISITS + 2 : -2],
            struct.pack("<H", len(dead)) + links,
        ]
    )

    with pytest.raises(RemoteProtocolError, match=told):
        CODEC.decode_hop(forged)


def test_no_frame_takes_more_memory_than_it_has_brought() -> None:
    cases = list(Fuzzer(11, CODEC, huge=0.1).cases(500))
    assert any(len(frame) > 500_000 for case in cases for frame in case.frames)
    tracemalloc.start()
    try:
        for case in cases:
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            Link(peer=PEER, codec=CODEC, traffic=Traffic()).incoming(case.frames, forget)
            _, peak = tracemalloc.get_traced_memory()
            brought = sum(map(len, case.frames))
            most = SPARE_BYTES + KEPT_BYTES_PER_BYTE * brought
            assert peak - before < most, (case.harm, peak - before, brought)
    finally:
        tracemalloc.stop()


def forget(link: Link, message: Message) -> None:
    """Do nothing with a message."""


@pytest.mark.parametrize("seed", range(5))
def test_a_hello_with_something_wrong_is_read_as_it_is_or_refused(seed: int) -> None:
    sent = LinkHello(session="a session", node=NodeId(7), layout="abc", about="3 values")
    fuzzer, read, told = Fuzzer(seed, CODEC), 0, set[str]()
    for _ in range(300):
        (frame,) = flipped(fuzzer, [sent.to_frame()])
        try:
            heard = LinkHello.from_frame(frame)
        except RemoteProtocolError as error:
            told.add(str(error))
        else:
            assert LinkHello.from_frame(heard.to_frame()) == heard
            read += 1
    assert read > 0
    assert len(told) > 30
    assert all(reason.isprintable() and reason for reason in told)


# --- over real links ----------------------------------------------------------------------------


def refused_at_once(company: Company, seed: int) -> Iterator[tuple[Case, str]]:
    """Yield cases that are refused before they have said anything valid, and what they hear."""
    codec = Codec(frozenset(company.nodes), {STREAM: company.size})
    for case in Fuzzer(seed, codec).cases(10**9):
        messages: list[Message] = []
        link = Link(peer=NodeId(1), codec=codec, traffic=Traffic())
        link.incoming(case.frames, lambda link, message: messages.append(message))  # noqa: B023
        if link.refused and not messages:
            yield case, text_of(next(link.outgoing()))


def strike(company: Company, count: int) -> None:
    """Attack node 2 so many times in the name of node 1, which never comes; then see all end."""
    company.add_all(but=(1,))
    company.expect_absent(1)
    hello = LinkHello(
        session=company.session,
        node=NodeId(1),
        layout=company.layout.fingerprint,
        about=str(company.layout),
    ).to_frame()

    def attack(number: int) -> None:
        if number != 1:
            return
        for case, told in islice(refused_at_once(company, seed=5), count):
            said = iter([hello, *case.frames])
            heard = overlay_raw.call(company.addresses[NodeId(2)], said)
            assert text_of(heard[-1]) == told, case.harm

    company.members[NodeId(2)].on_round = attack
    company.run()

    company.check()
    for member in company.members.values():
        assert member.report.ending == "the session closed"
    assert eventually(lambda: overlay_threads() == []), overlay_threads()


def test_a_live_node_refuses_each_attack_with_its_reason_and_goes_on(folder: Path) -> None:
    strike(Company(count=4, insecure=True, sockets=folder), 100)


@pytest.mark.exhaustive
def test_a_live_node_refuses_thousands_of_attacks_and_goes_on(folder: Path) -> None:
    company = Company(
        count=4,
        insecure=True,
        sockets=folder,
        session_seconds=MOST_SECONDS,
        most_seconds=MOST_SECONDS,
    )
    strike(company, 5_000)


def test_a_frame_larger_than_any_may_be_costs_the_link_and_no_memory(folder: Path) -> None:
    company = Company(count=4, insecure=True, sockets=folder)
    company.add_all(but=(1,))
    company.expect_absent(1)
    codes: list[grpc.StatusCode] = []

    def attack(number: int) -> None:
        if number == 1:
            with pytest.raises(grpc.RpcError) as caught:
                overlay_raw.call(company.addresses[NodeId(2)], iter([bytes(9 << 20)]))
            codes.append(caught.value.code())

    company.members[NodeId(2)].on_round = attack
    company.run()

    company.check()
    assert codes == [grpc.StatusCode.RESOURCE_EXHAUSTED]
