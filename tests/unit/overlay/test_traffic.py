"""What links have carried: every byte once, and times that mean what they say."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from flwr_digest.core.ids import Fence, NodeId, Order, StreamId
from flwr_digest.overlay.bundle import Parcel, bundled
from flwr_digest.overlay.fields import Kind
from flwr_digest.overlay.traffic import Traffic, wire_bytes

STREAM, OTHER = StreamId(0), StreamId(1)
FIRST = Order(Fence(1, NodeId(0)), 1)
NEXT = Order(Fence(1, NodeId(0)), 2)
CHUNK = bytes([Kind.CHUNK]) + bytes(100)
INQUIRY = bytes([Kind.INQUIRY]) + bytes(2)


def test_the_bytes_of_chunks_are_payload_and_all_others_control() -> None:
    traffic = Traffic()
    (parcel,) = bundled([INQUIRY, CHUNK])

    traffic.sent(parcel)
    traffic.received(Parcel(CHUNK, [CHUNK]))

    assert traffic.payload_bytes_sent == 100
    assert traffic.control_bytes_sent == 1 + 4 + 3 + 4 + 1
    assert traffic.frames_sent == 2
    assert (traffic.payload_bytes_received, traffic.control_bytes_received) == (100, 1)
    assert traffic.frames_received == 1


def test_the_bytes_on_the_wire_are_those_of_the_standards() -> None:
    assert wire_bytes(100, secure=False) == 100 + 5 + 9 + 52
    assert wire_bytes(100, secure=True) == 100 + 5 + 9 + 22 + 52
    message = 1 << 20
    framed = message + 5 + 9 * 65
    assert wire_bytes(message, secure=False) == framed + 52 * -(-framed // 1448)


def test_tls_is_counted_where_it_is() -> None:
    plain, secure = Traffic(), Traffic()
    parcel = Parcel(CHUNK, [CHUNK])

    plain.sent(parcel)
    secure.sent(parcel, secure=True)
    secure.received(parcel, secure=True)

    assert secure.wire_bytes_sent == plain.wire_bytes_sent + 22
    assert secure.wire_bytes_received == secure.wire_bytes_sent


def test_a_round_trip_lasts_from_a_hop_to_its_receipt() -> None:
    traffic = Traffic()

    for sent_at, acknowledged_at, order in ((10.0, 10.8, FIRST), (20.0, 20.4, NEXT)):
        traffic.hop_sent(STREAM, order, sent_at)
        traffic.receipt_came(STREAM, order, acknowledged_at)

    assert traffic.round_trip_seconds == pytest.approx(0.8 + (0.4 - 0.8) / 8)
    assert traffic.longest_round_trip_seconds == pytest.approx(0.8)
    assert traffic.hops_resent == 0


def test_a_hop_that_was_sent_again_is_counted_and_times_nothing() -> None:
    traffic = Traffic()
    traffic.hop_sent(STREAM, FIRST, 1.0)
    traffic.hop_sent(STREAM, FIRST, 2.0)
    traffic.hop_sent(OTHER, FIRST, 3.0)

    traffic.receipt_came(STREAM, FIRST, 9.0)

    assert traffic.hops_resent == 1
    assert traffic.round_trip_seconds == 0.0
    traffic.receipt_came(OTHER, FIRST, 3.5)
    assert traffic.round_trip_seconds == 0.5


def test_receipts_of_other_copies_and_second_receipts_time_nothing() -> None:
    traffic = Traffic()
    traffic.receipt_came(STREAM, FIRST, 1.0)
    traffic.hop_sent(STREAM, NEXT, 2.0)
    traffic.receipt_came(STREAM, FIRST, 8.0)
    assert traffic.longest_round_trip_seconds == 0.0

    traffic.receipt_came(STREAM, NEXT, 2.25)
    traffic.receipt_came(STREAM, NEXT, 9.0)

    assert traffic.longest_round_trip_seconds == 0.25


def test_transfers_are_smoothed_and_the_longest_is_kept() -> None:
    traffic = Traffic()
    for seconds in (0.5, 1.3, 0.5):
        traffic.stream_came(seconds)

    assert traffic.transfer_seconds == pytest.approx(0.6 - 0.1 / 8)
    assert traffic.longest_transfer_seconds == 1.3


def test_what_adds_up_are_counts_and_all_is_plain_numbers() -> None:
    traffic = Traffic(frames_sent=3, round_trip_seconds=0.5)

    assert traffic.counts()["frames_sent"] == 3
    assert "round_trip_seconds" not in traffic.counts()
    assert all(type(value) in (int, float) for value in asdict(traffic).values())
