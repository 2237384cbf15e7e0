"""What the replay has to do at a node besides local steps, and after how many of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flwr_digest.core.ids import ShardId
from flwr_digest.sim.digest.later import Later


@dataclass(frozen=True, slots=True)
class Take:
    """Hand out what the local steps since the last take of a shard did.

    Attributes
    ----------
    made : int
        After so many local steps of the run.
    shard : ShardId
        Of which shard.
    displacement : Later
        Becomes by how much they moved it.
    gradients : Later or None
        Becomes the sum of their gradients; None without drift correction.
    """

    made: int
    shard: ShardId
    displacement: Later
    gradients: Later | None


@dataclass(frozen=True, slots=True)
class GoOnFrom:
    """Rebase a shard.

    Attributes
    ----------
    made : int
        After so many local steps of the run.
    shard : ShardId
        Which shard.
    model : Later
        What it becomes.
    correction : Later or None
        What is added to each gradient from now on; None: as before.
    on_top : bool
        Whether there were local steps since the last take, which stay on top of `model`.
    """

    made: int
    shard: ShardId
    model: Later
    correction: Later | None
    on_top: bool


@dataclass(frozen=True, slots=True)
class Forget:
    """Begin again with the initial model, after `made` local steps: the node lost its state."""

    made: int


Item = Take | GoOnFrom | Forget


class Notes(Protocol):
    """Whoever is told what is to be computed."""

    def note(self, node: int, item: Item) -> None:
        """Add to a node's program; items are in the order of their steps."""
        ...
