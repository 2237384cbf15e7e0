"""A peer gone wild: sequences of frames with something wrong, of every kind that there is.

One seed is one series of cases. Each case begins as what an honest peer might say and then has one
thing done to it, or several.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from flwr_digest.core.ids import NO_FENCE, Fence, Link, NodeId, Order, StreamId, link
from flwr_digest.core.messages import Close, Hop, Inquiry, Message, Receipt, Sighting
from flwr_digest.core.rounding import rounded
from flwr_digest.core.stream import Stream, Tour, Visit
from flwr_digest.overlay.fields import Kind
from flwr_digest.overlay.frames import VALUE, Codec
from flwr_digest.overlay.hello import GOODBYE, LinkHello, refusal

FLAGS, GENERATION, HOP_COUNT, CHANGES, CLOCK, PAYLOAD, VISITS = 3, 4, 16, 20, 28, 36, 44
"""Where things are in the header of a hop."""

MOST_HONEST = 1000  # of hops, steps and so on, in what is honest
SELDOM = 1 / 400  # the largest frames: each takes a thousand times as long as the others
HUGE_BYTES = 1 << 20
ODD_VALUES = (float("nan"), float("inf"), float("-inf"))
ODD_COUNTS = (0, 1, 2**15, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1)
ODD_SIZES = (0, 1, 3, 2**31, 2**32, 2**40, 2**63, 2**64 - 1)

Frames = list[bytes]
Harm = Callable[["Fuzzer", Frames], Frames]


@dataclass(frozen=True, slots=True)
class Case:
    """What a peer sends after its hello, and what was done to it."""

    harm: str
    frames: Frames


class Fuzzer:
    """Makes cases for the plan of a codec, a share of `huge` where that can be of huge frames."""

    def __init__(self, seed: int, codec: Codec, huge: float = SELDOM) -> None:
        self.source = random.Random(seed)
        self.codec = codec
        self.huge = huge
        self.streams = sorted(codec.sizes)

    def cases(self, count: int) -> Iterator[Case]:
        """Yield so many cases, all harms in turn."""
        for number in range(count):
            yield self.case(HARM_NAMES[number % len(HARM_NAMES)])

    def case(self, harm: str) -> Case:
        """Return a case of that harm, now and then with others on top."""
        frames = HARMS[harm](self, self.honest())
        while self.source.random() < 0.2:  # one thing goes wrong after another
            frames = HARMS[self.source.choice(HARM_NAMES)](self, frames or self.honest())
        return Case(harm, frames)

    # --- what an honest peer says -------------------------------------------------------------

    def honest(self) -> Frames:
        """Return the frames of one message, or of a few; a hop is among them."""
        messages = [self.message() for _ in range(self.source.randint(0, 2))]
        messages.insert(self.source.randint(0, len(messages)), self.hop())
        frames = [frame for message in messages for frame in self.codec.encode(message)]
        return [bundle_of(frames)] if self.source.random() < 0.1 else frames

    def message(self) -> Message:
        """Return any message."""
        stream_id = self.source.choice(self.streams)
        match self.source.randrange(5):
            case 0:
                return Receipt(stream_id=stream_id, order=self.order(), newest=self.order())
            case 1:
                return Inquiry(stream_id=stream_id)
            case 2:
                return Sighting(stream_id=stream_id, newest=self.order())
            case 3:
                return Close(stream_id=stream_id, order=self.order())
            case _:
                return self.hop()

    def hop(self) -> Hop:
        """Return any hop."""
        stream_id, order = self.source.choice(self.streams), self.order()
        return Hop(
            stream=Stream(
                stream_id=stream_id,
                model=self._vector(stream_id),
                rate=rounded(self._vector(stream_id)) if self.codec.rates else None,
                fence=order.fence,
                hop=order.hop,
                visits={node: self._visit() for node in self._some()},
                tour=Tour(seen=self._some(), dead_links=self._links()),
                finished=self._some(),
                closing=self.source.random() < 0.1,
                changes=self.source.randrange(MOST_HONEST),
                clock_seconds=self.source.uniform(-1e3, 1e3),
            )
        )

    def order(self) -> Order:
        """Return any order."""
        fence = Fence(self.source.randrange(4), self.source.choice(self.codec.members))
        return Order(self.source.choice([NO_FENCE, fence]), self.source.randrange(MOST_HONEST))

    def _vector(self, stream_id: StreamId) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        drawn = [self.source.uniform(-9, 9) for _ in range(self.codec.sizes[stream_id])]
        return np.array(drawn, dtype=np.float32)

    def _visit(self) -> Visit:
        number, hop, steps = (self.source.randrange(1, MOST_HONEST) for _ in range(3))
        born, behind = self.source.choice([(0.0, 1), (self.source.uniform(-9, 9), 3)])
        return Visit(life=1, number=number, hop=hop, steps=steps, born_seconds=born, behind=behind)

    def _some(self) -> frozenset[NodeId]:
        members = self.codec.members
        return frozenset(self.source.sample(members, self.source.randrange(len(members))))

    def _links(self) -> frozenset[Link]:
        pairs = (self.source.sample(self.codec.members, 2) for _ in range(self.source.randrange(3)))
        return frozenset(link(one, other) for one, other in pairs)

    # --- tools of the harms -------------------------------------------------------------------

    def at(self, frames: Frames, kind: Kind | None = None) -> int | None:
        """Return the place of some frame, or of one of a kind; None where there is none."""
        places = [n for n, f in enumerate(frames) if kind is None or f[:1] == bytes([kind])]
        return self.source.choice(places) if places else None

    def changed(
        self, frames: Frames, change: Callable[[bytes], bytes], kind: Kind | None = None
    ) -> Frames:
        """Return the frames with one of them changed."""
        place = self.at(frames, kind)
        if place is None:
            return frames
        return [*frames[:place], change(frames[place]), *frames[place + 1 :]]

    def inserted(self, frames: Frames, *news: bytes) -> Frames:
        """Return the frames with others somewhere among them."""
        place = self.source.randint(0, len(frames))
        return [*frames[:place], *news, *frames[place:]]


def written(frame: bytes, at: int, form: str, *values: float) -> bytes:
    """Return a frame with a field overwritten; as it was, if that is past its end."""
    size = struct.calcsize(form)
    if at + size > len(frame):
        return frame
    return frame[:at] + struct.pack(form, *values) + frame[at + size :]


def bundle_of(frames: Frames) -> bytes:
    """Return a bundle of frames, whatever they are."""
    parts = [struct.pack("<I", len(frame)) + frame for frame in frames]
    return bytes([Kind.BUNDLE]) + b"".join(parts)


# --- what can be wrong --------------------------------------------------------------------------


def flipped(fuzzer: Fuzzer, frames: Frames) -> Frames:
    """Flip a few bits of a frame."""

    def flip(frame: bytes) -> bytes:
        data = bytearray(frame)
        for _ in range(fuzzer.source.randint(1, 8) if data else 0):
            data[fuzzer.source.randrange(len(data))] ^= 1 << fuzzer.source.randrange(8)
        return bytes(data)

    return fuzzer.changed(frames, flip)


def truncated(fuzzer: Fuzzer, frames: Frames) -> Frames:
    return fuzzer.changed(frames, lambda frame: frame[: fuzzer.source.randint(0, len(frame))])


def extended(fuzzer: Fuzzer, frames: Frames) -> Frames:
    more = HUGE_BYTES if fuzzer.source.random() < fuzzer.huge else fuzzer.source.randint(1, 64)
    return fuzzer.changed(frames, lambda frame: frame + fuzzer.source.randbytes(more))


def with_another_payload(fuzzer: Fuzzer, frames: Frames) -> Frames:
    size = fuzzer.source.choice(ODD_SIZES)
    return fuzzer.changed(frames, lambda frame: written(frame, PAYLOAD, "<Q", size), Kind.HOP)


def with_another_number_of_visits(fuzzer: Fuzzer, frames: Frames) -> Frames:
    count = fuzzer.source.choice([1, 2, 255, 65_535])
    return fuzzer.changed(frames, lambda frame: written(frame, VISITS, "<H", count), Kind.HOP)


def with_another_number_of_links(fuzzer: Fuzzer, frames: Frames) -> Frames:
    count = fuzzer.source.choice([1, 2, 255, 65_535])
    return fuzzer.changed(frames, lambda frame: frame[:-2] + struct.pack("<H", count), Kind.HOP)


def with_all_the_visits_it_says(fuzzer: Fuzzer, frames: Frames) -> Frames:
    """Put a great many visits into a hop; now and then as many as can be."""
    count = 65_535 if fuzzer.source.random() < fuzzer.huge else fuzzer.source.randint(1, 40)
    visits = fuzzer.source.randbytes(24 * count)
    if fuzzer.source.random() < 0.5:  # of somebody, and not too many of anything
        visits = b"".join(struct.pack("<QIIII", node, 1, 2, 3, 4) for node in range(count))

    def crowd(frame: bytes) -> bytes:
        before, after = frame[:VISITS], frame[VISITS + 2 :]
        return before + struct.pack("<H", count) + visits + after

    return fuzzer.changed(frames, crowd, Kind.HOP)


def with_a_visit_twice(fuzzer: Fuzzer, frames: Frames) -> Frames:
    """Say two things about one node."""
    node = fuzzer.source.choice(fuzzer.codec.members)
    first, second = (struct.pack("<QIIII", node, 1, 2, 3, steps) for steps in (4, 5))

    def doubled_visit(frame: bytes) -> bytes:
        if frame[VISITS : VISITS + 2] != b"\0\0":
            return frame
        return frame[:VISITS] + b"\2\0" + first + second + frame[VISITS + 2 :]

    return fuzzer.changed(frames, doubled_visit, Kind.HOP)


def poisoned(fuzzer: Fuzzer, frames: Frames) -> Frames:
    """Put a value into a model that is no number."""
    value = np.array([fuzzer.source.choice(ODD_VALUES)], dtype=VALUE).tobytes()

    def poison(frame: bytes) -> bytes:
        at = 1 + 4 * fuzzer.source.randrange(max(1, len(frame) // 4))
        return frame[:at] + value + frame[at + 4 :]

    return fuzzer.changed(frames, poison, Kind.CHUNK)


def of_another_stream(fuzzer: Fuzzer, frames: Frames) -> Frames:
    number = fuzzer.source.choice([1, 2, 7, 255, 65_534, fuzzer.streams[-1]])
    return fuzzer.changed(frames, lambda frame: written(frame, 1, "<H", number))


def out_of_order(fuzzer: Fuzzer, frames: Frames) -> Frames:
    """Make an order, or a count of changes, that leaves no room to count on, or just some."""
    at, form = fuzzer.source.choice([(GENERATION, "<I"), (HOP_COUNT, "<I"), (CHANGES, "<Q")])
    count = fuzzer.source.choice(ODD_COUNTS)
    return fuzzer.changed(frames, lambda frame: written(frame, at, form, count), Kind.HOP)


def out_of_rank(fuzzer: Fuzzer, frames: Frames) -> Frames:
    """Name a dead link of nodes that there are not, or of one node with itself."""
    ranks = [fuzzer.source.choice([0, 1, 8, 9, 255, 65_535]) for _ in range(2)]

    def misname(frame: bytes) -> bytes:
        return frame[:-2] + struct.pack("<HHH", 1, *ranks)

    return fuzzer.changed(frames, misname, Kind.HOP)


def out_of_time(fuzzer: Fuzzer, frames: Frames) -> Frames:
    seconds = fuzzer.source.choice([*ODD_VALUES, 1e300, -1e11, 1e10])
    return fuzzer.changed(frames, lambda frame: written(frame, CLOCK, "<d", seconds), Kind.HOP)


def flagged(fuzzer: Fuzzer, frames: Frames) -> Frames:
    flags = fuzzer.source.randrange(256)
    return fuzzer.changed(frames, lambda frame: written(frame, FLAGS, "<B", flags), Kind.HOP)


def headless(fuzzer: Fuzzer, frames: Frames) -> Frames:
    """Send model bytes that nobody announced."""
    place = fuzzer.at(frames, Kind.HOP)
    return frames if place is None else [*frames[:place], *frames[place + 1 :]]


def nested(fuzzer: Fuzzer, frames: Frames) -> Frames:
    """Announce a stream while another is on its way."""
    place = fuzzer.at(frames, Kind.HOP)
    if place is None:
        return frames
    other = next(fuzzer.codec.encode(fuzzer.hop()))
    return [*frames[: place + 1], other, *frames[place + 1 :]]


def interrupted(fuzzer: Fuzzer, frames: Frames) -> Frames:
    """Put in a frame that only begins or ends a link, whole or not."""
    hello = LinkHello(session="a session", node=NodeId(1), layout="abc", about="3 values")
    cut = fuzzer.source.randint(1, 20)
    words = refusal(fuzzer.source.randbytes(cut).decode(errors="replace"))
    news = fuzzer.source.choice(
        [hello.to_frame(), hello.to_frame()[:cut], words, GOODBYE, GOODBYE + bytes(cut)]
    )
    return fuzzer.inserted(frames, news)


def reordered(fuzzer: Fuzzer, frames: Frames) -> Frames:
    return fuzzer.source.sample(frames, len(frames))


def doubled(fuzzer: Fuzzer, frames: Frames) -> Frames:
    place = fuzzer.at(frames)
    return frames if place is None else [*frames[:place], frames[place], *frames[place:]]


def gapped(fuzzer: Fuzzer, frames: Frames) -> Frames:
    place = fuzzer.at(frames)
    return frames if place is None else [*frames[:place], *frames[place + 1 :]]


def torn(fuzzer: Fuzzer, frames: Frames) -> Frames:
    """Cut a chunk in pieces, which may be; or leave some of them empty, which may not."""
    place = fuzzer.at(frames, Kind.CHUNK)
    if place is None:
        return frames
    raw = frames[place][1:]
    cuts = sorted(fuzzer.source.randint(0, len(raw)) for _ in range(fuzzer.source.randint(1, 3)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    chunks = [bytes([Kind.CHUNK]) + piece for piece in pieces]
    return [*frames[:place], *chunks, *frames[place + 1 :]]


def bundled(fuzzer: Fuzzer, frames: Frames) -> Frames:
    """Put frames into a bundle that is empty, in another, or says wrong lengths; or is well."""
    count = fuzzer.source.randint(0, len(frames))
    together = bundle_of(frames[:count])
    lie = fuzzer.source.choice([0, 1, 2**16, 2**31, 2**32 - 1])
    large = HUGE_BYTES if fuzzer.source.random() < fuzzer.huge else fuzzer.source.randint(1, 9)
    news = fuzzer.source.choice(
        [
            together,
            written(together, 1, "<I", lie),
            bundle_of([together]),
            bundle_of([*frames[:count], b""]),
            bundle_of([b"\0" * large]),
            together + bytes(large),
        ]
    )
    return [news, *frames[count:]]


def noisy(fuzzer: Fuzzer, frames: Frames) -> Frames:
    """Put in any bytes, of a kind that there is or is not."""
    size = HUGE_BYTES if fuzzer.source.random() < fuzzer.huge else fuzzer.source.randrange(120)
    kind = fuzzer.source.choice([*Kind, *Kind, 0, 11, 255])
    news = bytes([kind]) + fuzzer.source.randbytes(size)
    return fuzzer.inserted(frames, fuzzer.source.choice([news, news, news, b""]))


HARMS: dict[str, Harm] = {
    each.__name__: each
    for each in (
        flipped,
        truncated,
        extended,
        with_another_payload,
        with_another_number_of_visits,
        with_another_number_of_links,
        with_all_the_visits_it_says,
        with_a_visit_twice,
        poisoned,
        of_another_stream,
        out_of_order,
        out_of_rank,
        out_of_time,
        flagged,
        headless,
        nested,
        interrupted,
        reordered,
        doubled,
        gapped,
        torn,
        bundled,
        noisy,
    )
}
HARM_NAMES = sorted(HARMS)
