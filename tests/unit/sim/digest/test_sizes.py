"""Only cargo takes time on a link."""

from __future__ import annotations

from typing import cast

import numpy as np

from flwr_digest.core.ids import NO_FENCE, Order, StreamId
from flwr_digest.core.messages import Close, Hop, Inquiry, Message, Receipt, Sighting
from flwr_digest.core.stream import Stream
from flwr_digest.core.vector import Vector
from flwr_digest.sim.digest.later import Later
from flwr_digest.sim.digest.sizes import message_bytes

NOWHERE = Order(NO_FENCE, 0)


def test_a_hop_takes_what_its_vectors_take() -> None:
    stream = Stream(stream_id=StreamId(0), model=np.zeros(7, dtype=np.float32))
    assert message_bytes(Hop(stream=stream)) == 28
    corrected = Stream(stream_id=StreamId(0), model=stream.model, rate=stream.model)
    assert message_bytes(Hop(stream=corrected)) == 28 + 7 + 1


def test_a_vector_that_is_not_known_yet_has_a_size() -> None:
    stream = Stream(stream_id=StreamId(0), model=cast(Vector, Later((7,))))
    assert message_bytes(Hop(stream=stream)) == 28


def test_small_messages_are_free() -> None:
    stream_id = StreamId(0)
    small: list[Message] = [
        Receipt(stream_id=stream_id, order=NOWHERE, newest=NOWHERE),
        Inquiry(stream_id=stream_id),
        Sighting(stream_id=stream_id, newest=NOWHERE),
        Close(stream_id=stream_id, order=NOWHERE),
    ]
    assert [message_bytes(message) for message in small] == [0, 0, 0, 0]
