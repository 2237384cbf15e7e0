"""Puts messages together from the frames of one link, and holds the sender to the rules."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from flwr_digest.core.messages import Hop, Message
from flwr_digest.core.stream import Stream
from flwr_digest.errors import RemoteProtocolError
from flwr_digest.overlay.fields import Kind, kind_of
from flwr_digest.overlay.frames import VALUE, Codec


@dataclass(slots=True)
class _Arriving:
    """A stream on its way in; the payload is its model, then its rates."""

    stream: Stream
    payload: npt.NDArray[np.float32]
    filled: int = 0

    def complete(self) -> Stream:
        """Return the stream with what has come, without a copy."""
        if self.stream.rate is None:
            return replace(self.stream, model=self.payload)
        model, rate = np.split(self.payload, 2)
        return replace(self.stream, model=model, rate=rate)


class Assembler:
    """Takes frames in, gives messages out. One for each link."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._arriving: _Arriving | None = None

    def feed(self, frame: bytes) -> Message | None:
        """Take in a frame; return a message if that completed one.

        Raises
        ------
        RemoteProtocolError
            The frame breaks the rules (see `frames`), or a model or rate is NaN or infinite.
        """
        kind = kind_of(frame)
        if kind is Kind.HOP:
            self._begin(frame)
            return None
        if kind is Kind.CHUNK:
            return self._fill(frame)
        return self._codec.decode_small(frame)

    def _begin(self, frame: bytes) -> None:
        if self._arriving is not None:
            raise RemoteProtocolError("a stream was announced before the last one was complete")
        stream = self._codec.decode_hop(frame)
        values = self._codec.payload_values(stream.stream_id)
        self._arriving = _Arriving(stream, np.empty(values, dtype=VALUE))

    def _fill(self, frame: bytes) -> Message | None:
        arriving = self._arriving
        if arriving is None:
            raise RemoteProtocolError("model bytes without a stream that announced them")
        target = arriving.payload.data.cast("B")
        end = arriving.filled + len(frame) - 1
        if len(frame) == 1 or end > len(target):
            raise RemoteProtocolError(f"model bytes up to {end}; {len(target)} were announced")
        target[arriving.filled : end] = memoryview(frame)[1:]
        arriving.filled = end
        if end < len(target):
            return None
        self._arriving = None
        stream = arriving.complete()
        for vector, told in ((stream.model, "a model"), (stream.rate, "gradient rates")):
            if vector is not None and not np.isfinite(vector).all():
                raise RemoteProtocolError(f"{told} with NaN or infinite values")
        return Hop(stream=stream)
