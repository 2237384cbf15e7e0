"""What happens to a driver: from its links, from whoever trains, and from the session."""

from __future__ import annotations

from dataclasses import dataclass

from flwr_digest.core.ids import ShardId
from flwr_digest.core.messages import Message
from flwr_digest.overlay.link import Link


@dataclass(frozen=True, slots=True)
class Linked:
    """A link has come up."""

    link: Link


@dataclass(frozen=True, slots=True)
class Unlinked:
    """A link has ended, for the reason given in words."""

    link: Link
    reason: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message has come in over a link."""

    link: Link
    message: Message


@dataclass(frozen=True, slots=True)
class StepsMade:
    """The trainer has made the steps that a held stream of the shard waits for."""

    shard: ShardId


@dataclass(frozen=True, slots=True)
class Finished:
    """The trainer will make no more steps."""


@dataclass(frozen=True, slots=True)
class Stop:
    """End the driver."""


Item = Linked | Unlinked | Delivered | StepsMade | Finished | Stop
