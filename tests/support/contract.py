"""What a scenario of the contract may do with a company of nodes, whatever carries their messages.

Written against this, one scenario runs in the simulator's network, in memory, and over real links.
All work is unit steps, so every copy says by itself whose steps it contains (`UnitWork`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import pytest

from flwr_digest.core.ids import NodeId


class Fault(Enum):
    """What the network does to one message while the link stays up."""

    LOSE_HOP = "a hop is lost"
    LOSE_RECEIPT = "a receipt is lost"
    DOUBLE_HOP = "a hop comes twice"


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """How a company begins.

    Attributes
    ----------
    count : int
        How many nodes the plan has.
    topology : str
        How they are linked.
    shards, regions : int
        How many streams there are: one for each shard and region.
    absent : collection of int
        Nodes of the plan that are not there at first; node 0 is.
    """

    count: int = 4
    topology: str = "ring"
    shards: int = 1
    regions: int = 1
    absent: Collection[int] = ()


class Company(Protocol):
    """Nodes of one session. Nodes that are there train whenever `train` is called.

    What a carrier cannot express it leaves out: then the scenario is skipped there.
    """

    real_time: bool
    """Whether what comes first is up to the machine: anyone may be slow, and be thought lost."""

    def train(self) -> None:
        """Let all nodes make steps until all faults have happened and streams have come by.

        Raises
        ------
        AssertionError
            A node waits in vain.
        """

    def cut(self, one: int, other: int) -> None:
        """Take a link down; both ends see it."""

    def mute(self, one: int, other: int) -> None:
        """Lose all that is sent over a link from now on; nobody sees it."""

    def heal(self, one: int, other: int) -> None:
        """Bring a link back."""

    def befall(self, fault: Fault) -> None:
        """Let that happen to the next message of its kind, whosever it is."""

    def kill(self, node: int) -> None:
        """End a node without a word."""

    def restart(self, node: int, *, with_state: bool) -> None:
        """Start a killed node again; without its state it has a new life."""

    def leave(self, node: int) -> None:
        """Let a node leave for good, with a goodbye where there is such a thing."""

    def join(self, node: int) -> None:
        """Let a node come that was absent."""

    def intrude(self, node: int, target: int) -> str:
        """Send `target` a model of another size in the name of an absent node.

        Returns
        -------
        str
            What the intruder is told.
        """

    def end(self) -> None:
        """End all training, and see the session to its end; then check it.

        Raises
        ------
        AssertionError
            The session does not end; a step is in a copy twice, in part, or nowhere.
        """

    def counts(self) -> Counter[str]:
        """Return the sums of all nodes' counters, those of the dead included, after the end."""

    def visited_since(self, node: int) -> bool:
        """Return whether a node's streams have steps of its present life; ask after the end."""


Make = Callable[[Setup], Company]


def leave_out(reason: str) -> None:
    """Skip the rest of a scenario: the carrier cannot express it."""
    pytest.skip(reason)


def nodes_of(setup: Setup) -> list[NodeId]:
    """Return the nodes of the plan."""
    return [NodeId(node) for node in range(setup.count)]
