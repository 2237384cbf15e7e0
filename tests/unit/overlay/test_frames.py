"""Frames: what is said is heard bit for bit, and whoever breaks the rules is told how."""

from __future__ import annotations

import json
import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.core.ids import NO_FENCE, Fence, NodeId, Order, StreamId, link
from flwr_digest.core.messages import Close, Hop, Inquiry, Message, Receipt
from flwr_digest.core.plan import PROTOCOL_VERSION
from flwr_digest.core.stream import Stream, Tour, Visit
from flwr_digest.errors import RemoteProtocolError
from flwr_digest.overlay.assembler import Assembler
from flwr_digest.overlay.fields import MOST_BEHIND, MOST_COUNT, Kind
from flwr_digest.overlay.frames import CHUNK_BYTES, Codec
from flwr_digest.overlay.hello import MOST_TEXT_BYTES, LinkHello, refusal, text_of
from tests.support.overlay_frames import (
    CODEC,
    CODEC_WITH_RATES,
    MEMBERS,
    SIZES,
    hops,
    hops_with_rates,
    same,
    small_messages,
)

# Where things are in the header of a hop.
FLAGS, PAYLOAD, VISITS, BITMAPS = 3, 36, 44, 46
ORDER = Order(Fence(3, MEMBERS[1]), 9)
HELLO = LinkHello(session="a session", node=NodeId(2**64 - 2), layout="abc", about="3 values")


def stream(model: int = 5, **fields: Any) -> Stream:  # noqa: ANN401
    given = {"stream_id": StreamId(0), "model": np.arange(model, dtype=np.float32)}
    return Stream(**{**given, **fields})


def header(**fields: Any) -> bytes:  # noqa: ANN401
    return next(CODEC.encode(Hop(stream=stream(**fields))))


def told_off(frame: bytes, codec: Codec = CODEC) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        Assembler(codec).feed(frame)
    return str(caught.value)


# --- round trips --------------------------------------------------------------------------------


@given(hops)
def test_a_hop_comes_back_as_it_was(hop: Hop) -> None:
    assembler = Assembler(CODEC)
    heard = [assembler.feed(frame) for frame in CODEC.encode(hop)]

    assert heard[:-1] == [None] * (len(heard) - 1)
    assert heard[-1] is not None
    assert same(heard[-1], hop)


@given(hops_with_rates)
def test_a_hop_with_gradient_rates_comes_back_as_it_was(hop: Hop) -> None:
    assembler = Assembler(CODEC_WITH_RATES)
    heard = [assembler.feed(frame) for frame in CODEC_WITH_RATES.encode(hop)]

    assert heard[:-1] == [None] * (len(heard) - 1)
    assert heard[-1] is not None
    assert same(heard[-1], hop)


def test_rates_travel_rounded_after_the_model() -> None:
    rates = np.arange(5, 10, dtype=np.float32)
    sent = stream(rate=rates)

    frames = list(CODEC_WITH_RATES.encode(Hop(stream=sent)))
    assembler = Assembler(CODEC_WITH_RATES)
    (*_, heard) = (assembler.feed(frame) for frame in frames)

    numbers = bytes([5 << 3, 6 << 3, 7 << 3, 8 << 3, 9 << 3])  # of 2 ** -3, so that 9 is above 63
    exponent = b"\xfd"  # -3
    assert [frame[1:] for frame in frames[1:]] == [sent.model.tobytes(), exponent + numbers]
    assert isinstance(heard, Hop)
    assert same(heard, Hop(stream=sent))


def test_the_age_of_news_is_sent_only_where_there_are_regions() -> None:
    plain = Visit(life=1, number=2, hop=3, steps=4)
    aged = Visit(life=1, number=2, hop=3, steps=4, born_seconds=5.5, behind=1)
    sizes = [len(header(visits={NodeId(7): visit})) for visit in (plain, aged)]

    assert sizes[1] - sizes[0] == 12
    assert sizes[0] - len(header()) == 24


@given(small_messages)
def test_a_small_message_is_one_frame_and_comes_back(message: Message) -> None:
    (frame,) = CODEC.encode(message)

    assert CODEC.decode_small(frame) == message
    assert len(frame) <= 35


def test_node_ids_of_64_bits_and_no_fence_come_back() -> None:
    highest = NodeId(2**64 - 2)
    former = NodeId(2**64 - 1)
    visit = Visit(life=2**32 - 1, number=MOST_COUNT, hop=MOST_COUNT, steps=MOST_COUNT)
    sent = stream(
        visits={highest: visit, former: visit},
        tour=Tour(seen=frozenset({highest}), dead_links=frozenset({link(highest, NodeId(0))})),
        fence=NO_FENCE,
    )

    heard = CODEC.decode_hop(next(CODEC.encode(Hop(stream=sent))))

    assert heard.visits == {highest: visit, former: visit}
    assert heard.tour == sent.tour
    assert heard.fence == NO_FENCE
    assert heard.model.size == 0


def test_a_large_model_travels_in_chunks() -> None:
    size = 3 * CHUNK_BYTES // 4 - 1
    codec = Codec(frozenset(MEMBERS), {StreamId(0): size})

    frames = list(codec.encode(Hop(stream=stream(model=size))))

    assert [frame[0] for frame in frames] == [Kind.HOP, Kind.CHUNK, Kind.CHUNK]
    assert [len(frame) - 1 for frame in frames[1:]] == [
        3 * CHUNK_BYTES // 2,
        3 * CHUNK_BYTES // 2 - 4,
    ]


def test_what_cannot_be_encoded_fails_at_once_and_not_when_it_is_sent() -> None:
    with pytest.raises(KeyError):
        CODEC.encode(Hop(stream=stream(finished=frozenset({NodeId(999)}))))
    with pytest.raises(struct.error):
        CODEC.encode(Hop(stream=stream(hop=2**32)))


def test_the_model_is_taken_as_it_was_when_it_was_sent() -> None:
    """Models are never changed in place, so the frames need no copy before they are asked for."""
    sent = stream()
    frames = CODEC.encode(Hop(stream=sent))
    next(frames)

    assert next(frames)[1:] == sent.model.tobytes()


# --- refusals -----------------------------------------------------------------------------------


def test_no_frame_and_unknown_kinds_are_refused() -> None:
    assert told_off(b"") == "a frame of unknown kind none"
    assert told_off(b"\x00") == "a frame of unknown kind 00"
    assert told_off(b"\x0b...") == "a frame of unknown kind 0b"


@pytest.mark.parametrize("kind", [Kind.HELLO, Kind.REFUSAL, Kind.GOODBYE])
def test_kinds_that_begin_or_end_a_link_are_refused_in_between(kind: Kind) -> None:
    assert told_off(bytes([kind])) == f"a frame of kind {kind.name} out of place"


@pytest.mark.parametrize(
    "message",
    [
        Hop(stream=stream(visits={NodeId(7): Visit(life=1, number=1, hop=1, steps=1)})),
        Receipt(stream_id=StreamId(0), order=ORDER, newest=ORDER),
        Inquiry(stream_id=StreamId(0)),
        Close(stream_id=StreamId(0), order=ORDER),
    ],
    ids=lambda message: type(message).__name__,
)
def test_every_frame_that_is_too_short_or_too_long_is_refused(message: Message) -> None:
    whole = next(CODEC.encode(message))
    for length in range(1, len(whole)):
        assert told_off(whole[:length]) == f"a frame of {length} bytes ends too early"
    assert told_off(whole + b"??") == "a frame with 2 bytes too many"


def test_a_stranger_stream_is_refused() -> None:
    other = Codec(frozenset(MEMBERS), {StreamId(4): 5})
    for message in (Inquiry(stream_id=StreamId(4)), Hop(stream=stream(stream_id=StreamId(4)))):
        assert told_off(next(other.encode(message))) == "stream 4 is not in the plan"


@pytest.mark.parametrize("announced", [0, 16, 19, 21, 2**40, 2**60, 2**64 - 1])
def test_another_size_of_model_is_refused_before_memory_is_taken(announced: int) -> None:
    whole = header()
    forged = whole[:PAYLOAD] + struct.pack("<Q", announced) + whole[PAYLOAD + 8 :]
    assert struct.unpack_from("<Q", whole, PAYLOAD) == (20,)

    tracemalloc.start()
    try:
        reason = told_off(forged)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert reason == f"stream 0 announced with {announced} bytes; the plan has 20"
    assert peak < 100_000


def test_rates_are_sent_if_and_only_if_the_plan_has_them() -> None:
    plain = header()
    rates = next(CODEC_WITH_RATES.encode(Hop(stream=stream(rate=np.zeros(5, dtype=np.float32)))))

    assert told_off(rates) == ("stream 0 announced with gradient rates; the plan is without them")
    assert told_off(plain, CODEC_WITH_RATES) == (
        "stream 0 announced without gradient rates; the plan is with them"
    )
    half = rates[:PAYLOAD] + struct.pack("<Q", 20) + rates[PAYLOAD + 8 :]
    assert told_off(half, CODEC_WITH_RATES) == ("stream 0 announced with 20 bytes; the plan has 26")


def test_flags_of_another_version_are_refused() -> None:
    whole = header()
    forged = whole[:FLAGS] + b"\x08" + whole[FLAGS + 1 :]
    assert told_off(forged) == "stream 0 announced with unknown flags 8"


@pytest.mark.parametrize("seconds", [np.nan, np.inf, -np.inf, 1e300])
def test_times_that_no_clock_shows_are_refused(seconds: float) -> None:
    visit = Visit(life=1, number=1, hop=1, steps=1, born_seconds=seconds)
    assert told_off(header(clock_seconds=seconds)) == f"a clock that shows {seconds} s"
    assert told_off(header(visits={NodeId(7): visit})) == f"news of 1 nodes, born at {seconds} s"


def test_news_of_more_nodes_than_there_can_be_is_refused() -> None:
    visit = Visit(life=1, number=1, hop=1, steps=1, behind=MOST_BEHIND + 1)
    assert told_off(header(visits={NodeId(7): visit})) == "news of 65537 nodes, born at 0.0 s"


@pytest.mark.parametrize("field", ["number", "hop", "steps"])
def test_visits_that_leave_no_room_to_count_on_are_refused(field: str) -> None:
    counts = {"number": 1, "hop": 2, "steps": 3, field: MOST_COUNT + 1}
    visit = Visit(life=1, **counts)
    assert told_off(header(visits={NodeId(7): visit})) == (
        f"visit {counts['number']} at hop {counts['hop']} with {counts['steps']} steps: "
        f"past {MOST_COUNT}"
    )


def test_too_many_changes_are_refused() -> None:
    assert told_off(header(changes=2**63)) == f"{2**63} changes: past {MOST_COUNT}"


def test_announced_visits_and_links_that_do_not_come_cost_no_memory() -> None:
    whole = header()
    forged = whole[:VISITS] + struct.pack("<H", 65_535) + whole[VISITS + 2 :]
    assert told_off(forged) == f"a frame of {len(whole)} bytes ends too early"
    forged = whole[:-2] + struct.pack("<H", 65_535)
    assert told_off(forged) == f"a frame of {len(whole)} bytes ends too early"


def test_a_bitmap_of_more_than_the_members_is_refused() -> None:
    whole = header()
    assert len(MEMBERS) == 9
    for at in (BITMAPS + 1, BITMAPS + 3):  # the second byte of seen, and of finished
        assert whole[at] == 0
        forged = whole[:at] + b"\x02" + whole[at + 1 :]
        assert told_off(forged) == "a bitmap of more than the 9 nodes"


def test_a_rank_beyond_the_members_is_refused() -> None:
    dead = Tour(dead_links=frozenset({link(MEMBERS[0], MEMBERS[1])}))
    whole = header(tour=dead)
    for one, other in ((0, 9), (9, 0), (65_535, 65_535)):
        forged = whole[:-4] + struct.pack("<HH", one, other)
        assert told_off(forged) == f"a link between nodes {one} and {other}: no such rank"


@pytest.mark.parametrize(("generation", "hop"), [(MOST_COUNT + 1, 0), (0, 2**32 - 1)])
def test_numbers_that_leave_no_room_to_count_on_are_refused(generation: int, hop: int) -> None:
    order = Order(Fence(generation, MEMBERS[1]), hop)
    close = Close(stream_id=StreamId(0), order=order)
    assert told_off(next(CODEC.encode(close))) == (
        f"generation {generation}, hop {hop}: past {MOST_COUNT}"
    )


# --- hello and refusal --------------------------------------------------------------------------


def hello_refusal(frame: bytes) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        LinkHello.from_frame(frame)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def hello_with(**changes: object) -> bytes:
    fields = json.loads(HELLO.to_frame()[1:])
    return b"\x01" + json.dumps({**fields, **changes}).encode()


def test_a_hello_comes_back() -> None:
    assert LinkHello.from_frame(HELLO.to_frame()) == HELLO


def test_a_refusal_in_place_of_a_hello_says_why() -> None:
    assert hello_refusal(refusal("different models")) == "refused: different models"


@pytest.mark.parametrize("frame", [b"", b"\x02"[:0], b"\x04", b"\x01" + b" " * MOST_TEXT_BYTES])
def test_a_first_frame_that_is_no_hello_is_refused(frame: bytes) -> None:
    assert hello_refusal(frame) == "the first frame was no hello"


def test_another_version_is_refused_whatever_else_it_says() -> None:
    expected = (
        f"it speaks protocol version 99, this node {PROTOCOL_VERSION}: "
        "install the same flwr-digest on all nodes"
    )
    assert hello_refusal(hello_with(version=99)) == expected
    assert hello_refusal(b'\x01{"version": 99, "new": "fields"}') == expected


@pytest.mark.parametrize(
    "frame",
    [
        b"\x01",
        b"\x01\xff\xff",
        b"\x01[]",
        b"\x01null",
        b"\x01{}",
        b'\x01{"version": %d}' % PROTOCOL_VERSION,
        b"\x01" + b"[" * 4000,
        hello_with(node="seven"),
        hello_with(node=None),
        hello_with(node=float("inf")),
        hello_with(node=float("nan")),
    ],
)
def test_a_hello_that_cannot_be_read_is_refused(frame: bytes) -> None:
    assert hello_refusal(frame).startswith("a hello that cannot be read: ")


@given(st.binary(max_size=200))
def test_any_first_frame_is_a_hello_or_refused(body: bytes) -> None:
    hello_refusal(b"\x01" + body)


def test_what_a_peer_says_becomes_one_line() -> None:
    forged = LinkHello.from_frame(hello_with(about="x\nERROR: all is lost\r\x1b[31m \u2028 y"))
    assert forged.about == "x ERROR: all is lost [31m y"
    assert text_of(refusal("one\ntwo")) == "one two"


def test_a_long_refusal_is_cut() -> None:
    frame = refusal("é" * MOST_TEXT_BYTES)
    assert len(frame) <= MOST_TEXT_BYTES
    assert text_of(frame).startswith("ééé")


def test_sizes_are_those_of_the_plan() -> None:
    assert CODEC.sizes == SIZES
