"""One link: what is queued comes out in order, is counted, and is not sent in vain."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from flwr_digest.core.ids import Fence, NodeId, StreamId
from flwr_digest.core.messages import Hop, Inquiry, Message, Receipt
from flwr_digest.core.stream import Stream
from flwr_digest.overlay import assembler
from flwr_digest.overlay import link as link_module
from flwr_digest.overlay.bundle import unbundled
from flwr_digest.overlay.frames import CHUNK_BYTES, Codec
from flwr_digest.overlay.hello import GOODBYE
from flwr_digest.overlay.link import Link
from flwr_digest.overlay.traffic import Traffic

STREAM, LARGE = StreamId(0), StreamId(1)
SIZES = {STREAM: 1000, LARGE: CHUNK_BYTES}
CODEC = Codec(frozenset(map(NodeId, range(3))), SIZES)


def link(*, secure: bool = False) -> Link:
    return Link(peer=NodeId(1), codec=CODEC, traffic=Traffic(), secure=secure)


def hop(number: int = 1, stream_id: StreamId = STREAM) -> Hop:
    model = np.full(SIZES[stream_id], number, dtype=np.float32)
    fence = Fence(1, NodeId(0))
    return Hop(stream=Stream(stream_id=stream_id, model=model, fence=fence, hop=number))


def receipt(message: Hop) -> Receipt:
    order = message.stream.order
    return Receipt(stream_id=message.stream.stream_id, order=order, newest=order)


def sent(one: Link) -> list[bytes]:
    one.end()
    return list(one.outgoing())


def heard(one: Link, messages: list[bytes]) -> tuple[list[Message], str]:
    found: list[Message] = []
    ending = one.incoming(messages, lambda _, message: found.append(message))
    return found, ending


def test_a_small_model_goes_with_its_header_in_one_message() -> None:
    near, far = link(), link()
    near.send(hop())
    near.send(Inquiry(stream_id=STREAM))

    messages = sent(near)

    assert len(messages) == 1
    found, ending = heard(far, messages)
    assert [type(each) for each in found] == [Hop, Inquiry]
    assert ending == "it closed the connection"


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each look at the clock take a second."""
    clock = SimpleNamespace(monotonic=map(float, count()).__next__)
    for module in (link_module, assembler):
        monkeypatch.setattr(module, "time", clock)


@pytest.mark.usefixtures("ticking")
def test_both_ends_count_the_same() -> None:
    near, far = link(secure=True), link(secure=True)
    near.send(hop())
    near.send(hop(2, LARGE))
    heard(far, sent(near))

    out, into = near.traffic, far.traffic
    assert out.payload_bytes_sent == into.payload_bytes_received == 4 * sum(SIZES.values())
    assert out.control_bytes_sent == into.control_bytes_received > 0
    assert out.wire_bytes_sent == into.wire_bytes_received
    assert out.wire_bytes_sent > out.payload_bytes_sent + out.control_bytes_sent
    assert out.frames_sent == into.frames_received == 2 + 1 + 4
    assert into.longest_transfer_seconds == 1.0


def test_a_hop_is_not_queued_twice_while_it_waits() -> None:
    near, far = link(), link()
    near.send(hop(1))
    near.send(hop(1))
    near.send(hop(2))

    found, _ = heard(far, sent(near))

    assert [each.stream.hop for each in found if isinstance(each, Hop)] == [1, 2]
    assert near.traffic.hops_resent == 0


def test_a_hop_that_has_left_is_sent_again() -> None:
    near = link()
    messages = near.outgoing()
    near.send(hop(1))
    first = next(messages)

    near.send(hop(1))

    assert next(messages) == first
    assert near.traffic.hops_resent == 1


def test_a_large_hop_has_left_with_its_last_chunk() -> None:
    near = link()
    messages = near.outgoing()
    near.send(hop(1, LARGE))
    first = [next(messages) for _ in range(4)]

    near.send(hop(1, LARGE))  # as if the receipt had come before gRPC asks for more
    near.end()

    assert list(messages) == first


@pytest.mark.usefixtures("ticking")
def test_a_receipt_ends_the_round_trip() -> None:
    near = link()
    near.send(hop(1))
    (frame,) = CODEC.encode(receipt(hop(1)))

    heard(near, [frame])

    assert near.traffic.round_trip_seconds == near.traffic.longest_round_trip_seconds == 1.0


def test_the_last_word_is_heard_in_a_bundle_too() -> None:
    near, far = link(), link()
    near.send(Inquiry(stream_id=STREAM))
    near.leave()
    (message,) = near.outgoing()
    assert unbundled(message)[-1] == GOODBYE

    found, ending = heard(far, [message])

    assert len(found) == 1
    assert far.goodbye
    assert ending == "it said goodbye"


def test_a_bundle_that_cannot_be_read_costs_the_link() -> None:
    one = link()

    found, ending = heard(one, [b"\x0a\x01"])

    assert not found
    assert ending == "it broke the protocol: a bundle that ends within a length"
    assert one.refused
