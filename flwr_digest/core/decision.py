"""What is to become of a stream: the parts of a station decide, the station carries it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from flwr_digest.core.effects import Effect
from flwr_digest.core.ids import NodeId
from flwr_digest.core.stream import Tour


class Then(Enum):
    """What follows after an event, if the stream does not leave."""

    WAIT = "all is as it was"
    AWAIT = "the copy here does not count, or not yet: await the stream"
    REISSUE = "the stream is lost, and the copy here takes its place"
    CLOSE = "the last tour is over"
    GIVE_UP = "no link leads anywhere, and nothing is left to do"


@dataclass(frozen=True, kw_only=True, slots=True)
class Leave:
    """The held stream goes on to a peer, as the next of its tour."""

    peer: NodeId
    tour: Tour


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What follows, after the effects."""

    then: Then | Leave
    effects: tuple[Effect, ...] = ()

    def after(self, effects: Sequence[Effect]) -> Decision:
        """Return the decision with effects that come first."""
        return replace(self, effects=(*effects, *self.effects))


def wait(*effects: Effect) -> Decision:
    """Return the decision that all stays as it is, but for the effects."""
    return Decision(then=Then.WAIT, effects=effects)
