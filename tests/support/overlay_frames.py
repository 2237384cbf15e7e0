"""What Hypothesis needs to make the overlay's messages."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from hypothesis import strategies as st

from flwr_digest.core.ids import NO_FENCE, Fence, NodeId, Order, StreamId, link
from flwr_digest.core.messages import Close, Hop, Inquiry, Message, Receipt, Sighting
from flwr_digest.core.rounding import rounded
from flwr_digest.core.stream import Stream, Tour, Visit
from flwr_digest.overlay.fields import (
    MOST_BEHIND,
    MOST_COUNT,
    MOST_SECONDS,
)
from flwr_digest.overlay.frames import Codec

U32 = 2**32 - 1
MEMBERS = [NodeId(n) for n in (0, 1, 7, 2**31, 2**63, 2**64 - 3, 2**64 - 2, 3, 4)]
"""Nine: one more than fit into a byte of a bitmap. Ids as Flower's, up to 64 bits."""
SIZES = {StreamId(0): 5, StreamId(65_535): 3}
CODEC = Codec(frozenset(MEMBERS), SIZES)
CODEC_WITH_RATES = Codec(frozenset(MEMBERS), SIZES, rates=True)

members = st.sampled_from(MEMBERS)
anyone = st.one_of(members, st.integers(0, 2**64 - 1).map(NodeId))
"""A member, or a former one that is not in the plan any more."""
stream_ids = st.sampled_from(sorted(SIZES))
counts = st.integers(0, MOST_COUNT)
fences = st.one_of(
    st.just(NO_FENCE),
    st.builds(Fence, counts, st.one_of(members, st.just(NodeId(-1)))),
)
orders = st.builds(Order, fences, counts)
u32 = st.integers(0, U32)
seconds = st.floats(-MOST_SECONDS, MOST_SECONDS)
visits = st.builds(Visit, life=u32, number=counts, hop=counts, steps=counts)
visits_with_news = st.builds(
    Visit,
    life=u32,
    number=counts,
    hop=counts,
    steps=counts,
    born_seconds=seconds,
    behind=st.integers(0, MOST_BEHIND),
)
links = st.sets(members, min_size=2, max_size=2).map(lambda pair: link(*pair))
tours = st.builds(Tour, seen=st.frozensets(members), dead_links=st.frozensets(links))
values = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def streams(draw: st.DrawFn, *, rates: bool) -> Stream:
    """Make a copy of one of the streams, with a model of its size."""
    stream_id, order = draw(stream_ids), draw(orders)
    size = SIZES[stream_id]
    vectors = st.lists(values, min_size=size, max_size=size)
    made = draw(st.sampled_from([visits, visits_with_news]))
    return Stream(
        stream_id=stream_id,
        model=np.array(draw(vectors), dtype=np.float32),
        rate=rounded(np.array(draw(vectors), dtype=np.float32)) if rates else None,
        fence=order.fence,
        hop=order.hop,
        visits=draw(st.dictionaries(anyone, made, max_size=12)),
        tour=draw(tours),
        finished=draw(st.frozensets(members)),
        closing=draw(st.booleans()),
        changes=draw(counts),
        clock_seconds=draw(seconds),
    )


hops = st.builds(Hop, stream=streams(rates=False))
hops_with_rates = st.builds(Hop, stream=streams(rates=True))
small_messages = st.one_of(
    st.builds(Receipt, stream_id=stream_ids, order=orders, newest=orders),
    st.builds(Inquiry, stream_id=stream_ids),
    st.builds(Sighting, stream_id=stream_ids, newest=orders),
    st.builds(Close, stream_id=stream_ids, order=orders),
)


def same(one: Message, other: Message) -> bool:
    """Return whether two messages say the same, bit for bit."""
    if not isinstance(one, Hop) or not isinstance(other, Hop):
        return one == other
    first, second = one.stream, other.stream
    if (first.rate is None) != (second.rate is None):
        return False
    vectors = [(first.model, second.model)]
    if first.rate is not None and second.rate is not None:
        vectors.append((first.rate, second.rate))
    return all(mine.tobytes() == theirs.tobytes() for mine, theirs in vectors) and all(
        getattr(first, field.name) == getattr(second, field.name)
        for field in fields(Stream)
        if field.name not in ("model", "rate")
    )
