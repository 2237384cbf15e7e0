"""The timers of one stream at one node: which are set, so that only those are canceled."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter

from flwr_digest.core.effects import CancelTimer, Effect, SetTimer
from flwr_digest.core.events import Timer, TimerKind
from flwr_digest.core.ids import StreamId


@dataclass(kw_only=True, slots=True)
class Timers:
    """Makes the effects that set and cancel timers.

    Attributes
    ----------
    stream_id : StreamId
        Whose timers these are.
    kinds : set of TimerKind
        Those that are set.
    """

    stream_id: StreamId
    kinds: set[TimerKind] = field(default_factory=set)

    def set(self, kind: TimerKind, at: float) -> SetTimer:
        """Return the effect that lets a timer fire at time `at` (the driver's clock, seconds)."""
        self.kinds.add(kind)
        return SetTimer(timer=Timer(kind=kind, stream_id=self.stream_id), at=at)

    def fired(self, kind: TimerKind) -> None:
        """Note that a timer is no longer set."""
        self.kinds.discard(kind)

    def cancel(self, kind: TimerKind) -> list[Effect]:
        """Return the effect that ends one wait, if it is under way."""
        if kind not in self.kinds:
            return []
        self.kinds.discard(kind)
        return [CancelTimer(timer=Timer(kind=kind, stream_id=self.stream_id))]

    def cancel_all(self) -> list[Effect]:
        """Return the effects that end all waits that are under way."""
        kinds = sorted(self.kinds, key=attrgetter("value"))
        self.kinds.clear()
        return [CancelTimer(timer=Timer(kind=kind, stream_id=self.stream_id)) for kind in kinds]
