"""What nodes say to each other. The overlay has one frame kind for each."""

from __future__ import annotations

from dataclasses import dataclass

from flwr_digest.core.ids import Order, StreamId
from flwr_digest.core.stream import Stream


@dataclass(frozen=True, kw_only=True, slots=True)
class Hop:
    """Here is the stream: from now on it is yours to merge and to send on."""

    stream: Stream


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """I have the copy `order` safely, or have seen one that is at least as new.

    `newest` is the newest copy the receiver knows of. Either way the sender need not send again.
    """

    stream_id: StreamId
    order: Order
    newest: Order


@dataclass(frozen=True, kw_only=True, slots=True)
class Inquiry:
    """I have not seen this stream for long: what is the newest copy that you keep?

    A neighbor that does not answer is asked, too, to hear of it when it does again (`Silence`).
    """

    stream_id: StreamId


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """The answer to an inquiry: the newest copy that I keep.

    Not the newest I have heard of: that one may be gone, and whoever keeps an old copy, or only
    the initial model, would take itself for as good as I am.
    """

    stream_id: StreamId
    newest: Order


@dataclass(frozen=True, kw_only=True, slots=True)
class Close:
    """The last tour of this session is complete: the stream is parked. Pass it on once.

    `order` is the sender's copy; who knows of a higher fence waits for that one instead.
    """

    stream_id: StreamId
    order: Order


Message = Hop | Receipt | Inquiry | Sighting | Close
