"""What Hypothesis needs to make the overlay's messages."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from flwr_digest.core.ids import NO_FENCE, Fence, NodeId, Order, StreamId, link
from flwr_digest.core.messages import Close, Hop, Inquiry, Message, Receipt, Sighting
from flwr_digest.core.stream import Stream, Tour, Visit
from flwr_digest.overlay.frames import MOST_COUNT, Codec

U32 = 2**32 - 1
MEMBERS = [NodeId(n) for n in (0, 1, 7, 2**31, 2**63, 2**64 - 3, 2**64 - 2, 3, 4)]
"""Nine: one more than fit into a byte of a bitmap. Ids as Flower's, up to 64 bits."""
SIZES = {StreamId(0): 5, StreamId(65_535): 3}
CODEC = Codec(frozenset(MEMBERS), SIZES)

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
visits = st.builds(Visit, life=u32, number=u32, hop=u32, steps=u32)
links = st.sets(members, min_size=2, max_size=2).map(lambda pair: link(*pair))
tours = st.builds(Tour, seen=st.frozensets(members), dead_links=st.frozensets(links))
values = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Make a copy of one of the streams, with a model of its size."""
    stream_id, order = draw(stream_ids), draw(orders)
    size = SIZES[stream_id]
    model = np.array(draw(st.lists(values, min_size=size, max_size=size)), dtype=np.float32)
    return Stream(
        stream_id=stream_id,
        model=model,
        fence=order.fence,
        hop=order.hop,
        visits=draw(st.dictionaries(anyone, visits, max_size=12)),
        tour=draw(tours),
        finished=draw(st.frozensets(members)),
        closing=draw(st.booleans()),
    )


hops = st.builds(Hop, stream=streams())
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
    return first.model.tobytes() == second.model.tobytes() and all(
        getattr(first, name) == getattr(second, name)
        for name in ("stream_id", "order", "visits", "tour", "finished", "closing")
    )
