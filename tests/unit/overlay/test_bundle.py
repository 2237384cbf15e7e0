"""Bundles: small frames share a message, large ones do not, and nobody can fool who takes them."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.errors import RemoteProtocolError
from flwr_digest.overlay.bundle import FULL_BUNDLE_BYTES, MOST_BUNDLE_BYTES, bundled, unbundled
from flwr_digest.overlay.fields import Frame, Kind

BUNDLE = bytes([Kind.BUNDLE])
frames = st.binary(min_size=1, max_size=40).filter(lambda frame: frame[:1] != BUNDLE)


def refused(message: bytes) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        unbundled(message)
    return str(caught.value)


def part(frame: Frame) -> bytes:
    return struct.pack("<I", len(frame)) + frame


@given(st.lists(st.one_of(frames, st.none()), max_size=12))
def test_what_is_bundled_comes_back_in_order(given: list[bytes | None]) -> None:
    parcels = list(bundled(given))

    assert [f for p in parcels for f in unbundled(p.message)] == [f for f in given if f is not None]
    assert all(unbundled(parcel.message) == parcel.frames for parcel in parcels)


def test_frames_that_are_there_at_once_share_a_message() -> None:
    (parcel,) = bundled([b"one", b"three"])

    assert parcel.message == BUNDLE + part(b"one") + part(b"three")


def test_a_frame_by_itself_goes_as_it_is_without_a_copy() -> None:
    frame = bytes(1000)

    (parcel,) = bundled([frame])

    assert parcel.message is frame
    assert unbundled(frame)[0] is frame


def test_none_waits_for_a_frame_that_is_not_there_yet() -> None:
    asked: list[str] = []

    def source() -> Iterator[bytes | None]:
        yield b"one"
        yield None
        asked.append("more")
        yield b"two"

    parcels = bundled(source())

    assert next(parcels).message == b"one"
    assert asked == []
    assert next(parcels).message == b"two"


def test_a_large_frame_goes_with_the_small_ones_before_it_and_at_once() -> None:
    large, asked = bytes(FULL_BUNDLE_BYTES), list[str]()

    def source() -> Iterator[bytes | None]:
        yield b"small"
        yield large
        asked.append("more")
        yield b"next"

    parcels = bundled(source())

    assert next(parcels).message == BUNDLE + part(b"small") + part(large)
    assert asked == []
    assert next(parcels).message == b"next"


def test_bundles_stay_within_their_limit() -> None:
    largest = bytes(MOST_BUNDLE_BYTES - 100)

    parcels = list(bundled([*[bytes(10_000)] * 50, largest]))

    assert len(parcels) > 2
    assert max(len(parcel.message) for parcel in parcels) <= MOST_BUNDLE_BYTES
    assert parcels[-1].message is largest


def test_what_is_unbundled_is_no_copy() -> None:
    (parcel,) = bundled([b"one", b"three"])

    assert all(
        isinstance(f, memoryview) and f.obj is parcel.message for f in unbundled(parcel.message)
    )


def test_bundles_that_break_the_rules_are_refused() -> None:
    assert refused(BUNDLE) == f"a bundle of 1 bytes: 2 to {MOST_BUNDLE_BYTES} are possible"
    assert refused(BUNDLE + bytes(MOST_BUNDLE_BYTES)).startswith("a bundle of 4194305 bytes")
    assert refused(BUNDLE + b"\x01\x00\x00") == "a bundle that ends within a length"
    assert refused(BUNDLE + part(b"abc")[:-1]) == "a bundle that ends within a frame"
    assert refused(BUNDLE + b"\xff\xff\xff\xff??") == "a bundle that ends within a frame"
    assert refused(BUNDLE + part(BUNDLE + part(b"x"))) == "a bundle within a bundle"


@given(st.binary(max_size=60))
def test_whatever_comes_is_frames_or_refused(body: bytes) -> None:
    message = BUNDLE + body
    try:
        found = unbundled(message)
    except RemoteProtocolError:
        return
    assert BUNDLE + b"".join(map(part, found)) == message
