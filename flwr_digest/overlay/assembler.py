"""Puts messages together from the frames of one link, and holds the sender to the rules."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from flwr_digest.core.messages import Hop, Message
from flwr_digest.core.rounding import join
from flwr_digest.core.stream import Stream
from flwr_digest.core.vector import all_finite
from flwr_digest.errors import RemoteProtocolError
from flwr_digest.overlay.fields import Frame, Kind, kind_of
from flwr_digest.overlay.frames import VALUE, Codec


@dataclass(slots=True)
class _Arriving:
    """A stream on its way in; the payload is its model, then its rates.

    `raw` is room for the payload, `model` the part that is the model. Of the payload `filled` bytes
    have come; of the model `checked` values are finite.
    """

    stream: Stream
    raw: npt.NDArray[np.uint8]
    model: npt.NDArray[np.float32]
    began: float
    filled: int = 0
    checked: int = 0

    def fill(self, frame: Frame) -> bool:
        """Take in a chunk; return whether that was the last."""
        end = self.filled + len(frame) - 1
        if len(frame) == 1 or end > len(self.raw):
            raise RemoteProtocolError(f"model bytes up to {end}; {len(self.raw)} were announced")
        # NumPy copies without the interpreter's lock: whoever trains goes on meanwhile.
        self.raw[self.filled : end] = np.frombuffer(frame, dtype=np.uint8, offset=1)
        self.filled = end
        self._check(min(end // VALUE.itemsize, len(self.model)))
        return end == len(self.raw)

    def _check(self, end: int) -> None:
        """Look at what is whole by now, while it is still near the processor."""
        if not all_finite(self.model[self.checked : end]):
            raise RemoteProtocolError("a model with NaN or infinite values")
        self.checked = end

    def complete(self) -> Stream:
        """Return the stream with what has come, the model without a copy."""
        if self.stream.rate is None:
            return replace(self.stream, model=self.model)
        packed = self.raw[self.model.nbytes :].view(np.int8)
        try:
            rate = join(packed, len(self.model))
        except ValueError as error:
            raise RemoteProtocolError(f"gradient rates with {error}") from error
        return replace(self.stream, model=self.model, rate=rate)


class Assembler:
    """Takes frames in, gives messages out. One for each link.

    Attributes
    ----------
    seconds : float
        How long the last stream took to come in, from the first of its frames to the last.
    """

    def __init__(self, codec: Codec) -> None:
        self.seconds = 0.0
        self._codec = codec
        self._arriving: _Arriving | None = None

    def feed(self, frame: Frame) -> Message | None:
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

    def _begin(self, frame: Frame) -> None:
        if self._arriving is not None:
            raise RemoteProtocolError("a stream was announced before the last one was complete")
        stream = self._codec.decode_hop(frame)
        raw = self._codec.room_for(stream.stream_id)
        model = raw[: self._codec.model_bytes(stream.stream_id)].view(VALUE)
        self._arriving = _Arriving(stream, raw, model, time.monotonic())

    def _fill(self, frame: Frame) -> Message | None:
        arriving = self._arriving
        if arriving is None:
            raise RemoteProtocolError("model bytes without a stream that announced them")
        if not arriving.fill(frame):
            return None
        self._arriving = None
        self.seconds = time.monotonic() - arriving.began
        return Hop(stream=arriving.complete())
