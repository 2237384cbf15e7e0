"""Puts messages together from the frames of one link, and holds the sender to the rules."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from flwr_digest.core.messages import Hop, Message
from flwr_digest.core.stream import Stream
from flwr_digest.errors import RemoteProtocolError
from flwr_digest.overlay.frames import VALUE, Codec, Kind, kind_of


@dataclass(slots=True)
class _Arriving:
    """A model on its way in."""

    stream: Stream
    model: npt.NDArray[np.float32]
    filled: int = 0


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
            The frame breaks the rules (see `frames`), or a model holds NaN or infinite values.
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
        size = self._codec.sizes[stream.stream_id]
        self._arriving = _Arriving(stream, np.empty(size, dtype=VALUE))

    def _fill(self, frame: bytes) -> Message | None:
        arriving = self._arriving
        if arriving is None:
            raise RemoteProtocolError("model bytes without a stream that announced them")
        target = arriving.model.data.cast("B")
        end = arriving.filled + len(frame) - 1
        if len(frame) == 1 or end > len(target):
            raise RemoteProtocolError(f"model bytes up to {end}; {len(target)} were announced")
        target[arriving.filled : end] = memoryview(frame)[1:]
        arriving.filled = end
        if end < len(target):
            return None
        self._arriving = None
        if not np.isfinite(arriving.model).all():
            raise RemoteProtocolError("a model with NaN or infinite values")
        return Hop(stream=replace(arriving.stream, model=arriving.model))
