"""What messages take on a link."""

from __future__ import annotations

from flwr_digest.core.messages import Hop, Message
from flwr_digest.core.rounding import cargo_bytes


def message_bytes(message: Message) -> int:
    """Return the bytes of a message that count: a hop's cargo, the model and with it any rates.

    Headers and small messages (tens of bytes to a few kilobytes) are free. Beside a model worth
    distributing they are nothing, but the models of the built-in scenarios stand for such models
    with a few hundred values only: the headers of their shards would take longer than the shards.
    """
    if not isinstance(message, Hop):
        return 0
    (values,) = message.stream.model.shape
    return cargo_bytes(int(values), rates=message.stream.rate is not None)
