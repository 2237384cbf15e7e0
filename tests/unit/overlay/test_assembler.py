"""The assembler: frames of one link in, messages out, and no way to fool it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from flwr_digest.core.ids import Fence, NodeId, Order, StreamId, link
from flwr_digest.core.messages import Close, Hop, Inquiry, Message, Receipt, Sighting
from flwr_digest.core.rounding import split
from flwr_digest.core.stream import Stream, Tour, Visit
from flwr_digest.errors import RemoteProtocolError
from flwr_digest.overlay.assembler import Assembler
from flwr_digest.overlay.fields import Kind
from flwr_digest.overlay.frames import Codec
from tests.support.overlay_frames import same

MEMBERS = frozenset(map(NodeId, range(4)))
STREAM = StreamId(0)
SIZE = 6
CODEC = Codec(MEMBERS, {STREAM: SIZE})
WITH_RATES = Codec(MEMBERS, {STREAM: SIZE}, rates=True)
ORDER = Order(Fence(1, NodeId(2)), 5)
INQUIRY = Inquiry(stream_id=STREAM)


def hop(value: float = 1.5) -> Hop:
    return Hop(
        stream=Stream(
            stream_id=STREAM,
            model=np.full(SIZE, value, dtype=np.float32),
            fence=ORDER.fence,
            hop=ORDER.hop,
            visits={NodeId(3): Visit(life=1, number=2, hop=3, steps=4)},
            tour=Tour(
                seen=frozenset({NodeId(1)}), dead_links=frozenset({link(NodeId(0), NodeId(3))})
            ),
        )
    )


def frames_of(message: Message) -> list[bytes]:
    return list(CODEC.encode(message))


def chunks(raw: bytes, *lengths: int) -> Iterator[bytes]:
    at = 0
    for length in lengths:
        yield bytes([Kind.CHUNK]) + raw[at : at + length]
        at += length


def told_off(assembler: Assembler, frame: bytes) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        assembler.feed(frame)
    return str(caught.value)


@pytest.mark.parametrize("lengths", [(24,), (12, 12), (1, 22, 1), (3,) * 8, (1,) * 24])
def test_a_model_may_come_in_any_pieces(lengths: tuple[int, ...]) -> None:
    sent = hop()
    raw = sent.stream.model.tobytes()
    assembler = Assembler(CODEC)
    assert assembler.feed(frames_of(sent)[0]) is None

    heard = [assembler.feed(frame) for frame in chunks(raw, *lengths)]

    assert heard[:-1] == [None] * (len(lengths) - 1)
    assert heard[-1] is not None
    assert same(heard[-1], sent)


def test_control_frames_come_through_between_chunks() -> None:
    sent = hop()
    assembler = Assembler(CODEC)
    first, second = chunks(sent.stream.model.tobytes(), 10, 14)
    assembler.feed(frames_of(sent)[0])

    assert assembler.feed(frames_of(INQUIRY)[0]) == INQUIRY
    assert assembler.feed(first) is None
    assert assembler.feed(frames_of(INQUIRY)[0]) == INQUIRY
    heard = assembler.feed(second)

    assert heard is not None
    assert same(heard, sent)


def test_models_come_one_after_another_and_share_no_memory() -> None:
    assembler = Assembler(CODEC)
    models = []
    for value in (1.0, 2.0):
        messages = [assembler.feed(frame) for frame in frames_of(hop(value))]
        assert isinstance(messages[-1], Hop)
        models.append(messages[-1].stream.model)

    assert models[0].tolist() == [1.0] * SIZE
    assert models[1].tolist() == [2.0] * SIZE


def test_a_second_stream_before_the_first_is_complete_is_refused() -> None:
    assembler = Assembler(CODEC)
    assembler.feed(frames_of(hop())[0])
    assembler.feed(next(chunks(bytes(24), 23)))
    assert told_off(assembler, frames_of(hop())[0]) == (
        "a stream was announced before the last one was complete"
    )


def test_model_bytes_that_nobody_announced_are_refused() -> None:
    assembler = Assembler(CODEC)
    expected = "model bytes without a stream that announced them"
    assert told_off(assembler, b"\x051234") == expected
    for frame in frames_of(hop()):
        assembler.feed(frame)
    assert told_off(assembler, b"\x051234") == expected


def test_more_model_bytes_than_announced_are_refused() -> None:
    assembler = Assembler(CODEC)
    assembler.feed(frames_of(hop())[0])
    assembler.feed(b"\x05" + bytes(20))
    assert told_off(assembler, b"\x05" + bytes(5)) == "model bytes up to 25; 24 were announced"


def test_an_empty_chunk_is_refused_as_it_could_go_on_for_ever() -> None:
    assembler = Assembler(CODEC)
    assembler.feed(frames_of(hop())[0])
    assert told_off(assembler, b"\x05") == "model bytes up to 0; 24 were announced"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, SIZE - 1])
def test_a_model_with_values_that_are_no_numbers_is_refused(value: float, place: int) -> None:
    sick = hop().stream.model.copy()
    sick[place] = value
    assembler = Assembler(CODEC)
    assembler.feed(frames_of(hop())[0])
    assert told_off(assembler, b"\x05" + sick.tobytes()) == "a model with NaN or infinite values"


@pytest.mark.parametrize("lengths", [(31,), (24, 7), (23, 2, 6), (1,) * 31])
def test_rates_may_come_in_any_pieces_after_the_model(lengths: tuple[int, ...]) -> None:
    model, rate = np.arange(SIZE, dtype=np.float32), np.full(SIZE, 0.5, dtype=np.float32)
    sent = Hop(stream=replace(hop().stream, model=model, rate=rate))
    assembler = Assembler(WITH_RATES)
    assembler.feed(next(WITH_RATES.encode(sent)))

    heard = [
        assembler.feed(each) for each in chunks(model.tobytes() + split(rate).tobytes(), *lengths)
    ]

    assert heard[:-1] == [None] * (len(lengths) - 1)
    assert heard[-1] is not None
    assert same(heard[-1], sent)


def test_rates_that_are_no_numbers_are_refused() -> None:
    sent = Hop(stream=replace(hop().stream, rate=np.ones(SIZE, dtype=np.float32)))
    header, model, rates = WITH_RATES.encode(sent)
    assembler = Assembler(WITH_RATES)
    assembler.feed(header)
    assembler.feed(model)
    forged = rates[:1] + b"\x7f" + rates[2:]  # 2 ** 127
    assert told_off(assembler, forged) == "gradient rates with exponents from 127 to 127"


# --- fuzz ---------------------------------------------------------------------------------------


def mutated(source: random.Random, frame: bytes) -> bytes:
    """Return a frame with something wrong: bytes changed, lost, added, or none of it kept."""
    data = bytearray(frame)
    match source.randrange(5):
        case 0:
            for _ in range(source.randint(1, 3)):
                data[source.randrange(len(data))] = source.randrange(256)
        case 1:
            del data[source.randrange(len(data) + 1) :]
        case 2:
            data += source.randbytes(source.randint(1, 9))
        case 3:
            data = bytearray([source.randrange(11)]) + source.randbytes(source.randrange(60))
        case _:
            at = source.randrange(len(data))
            data[at : at + 8] = source.choice([b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7])
    return bytes(data)


def check_valid(message: Message) -> None:
    """Check that a message says nothing that an honest peer of the plan could not say."""
    match message:
        case Hop(stream=stream):
            assert stream.stream_id == STREAM
            assert stream.model.shape == (SIZE,)
            assert np.isfinite(stream.model).all()
            assert stream.tour.seen <= MEMBERS
            assert stream.finished <= MEMBERS
            assert np.isfinite(stream.clock_seconds)
            assert all(np.isfinite(visit.born_seconds) for visit in stream.visits.values())
            assert all({path.low, path.high} <= MEMBERS for path in stream.tour.dead_links)
        case Receipt() | Inquiry() | Sighting() | Close():
            assert message.stream_id == STREAM
    list(CODEC.encode(message))  # it can be passed on


@pytest.mark.parametrize("seed", range(10))
def test_whatever_comes_is_a_valid_message_or_a_clear_refusal(seed: int) -> None:
    source = random.Random(seed)
    good = [
        *frames_of(hop()),
        *frames_of(INQUIRY),
        *frames_of(Receipt(stream_id=STREAM, order=ORDER, newest=ORDER)),
        *frames_of(Sighting(stream_id=STREAM, newest=ORDER)),
        *frames_of(Close(stream_id=STREAM, order=ORDER)),
    ]
    assembler, outcomes = Assembler(CODEC), {"message": 0, "more to come": 0, "refusal": 0}
    reasons = set[str]()
    for _ in range(600):
        frame = source.choice(good)
        if source.random() < 0.6:
            frame = mutated(source, frame)
        try:
            message = assembler.feed(frame)
        except RemoteProtocolError as error:
            reasons.add(str(error))
            outcomes["refusal"] += 1
            assembler = Assembler(CODEC)  # it has lost its link, and comes back
            continue
        outcomes["more to come" if message is None else "message"] += 1
        if message is not None:
            check_valid(message)
    assert not [reason for reason in reasons if not reason or "\n" in reason]
    assert min(outcomes.values()) > 20, f"the fuzz tests too little: {outcomes}"
