"""A stream: the travelling model, and what it remembers of its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from flwr_digest.core.cargo import Cargo
from flwr_digest.core.ids import NO_FENCE, Fence, Link, NodeId, Order, StreamId
from flwr_digest.core.vector import Vector


@dataclass(frozen=True, kw_only=True, slots=True)
class Visit:
    """The last visit to one node in the history of one copy of a stream.

    Attributes
    ----------
    life : int
        Which of the node's accounts this was: a node that came back empty has opened a new one.
    number : int
        The account's own count of visits by this stream; never used twice, 0 before the first.
    hop : int
        The stream's hop at that visit.
    steps : int
        How many of the node's local steps the stream's model contains since that visit (steps
        that were forfeited count as contained: nobody will bring them again).
    born_seconds : float
        By the stream's clock: when what the visit brought was news, on the average. The time of
        the visit itself, but at a gateway, which brings what other streams have told it, too.
    behind : int
        News of how many nodes the visit brought: 1, and at a gateway those of other regions.
    """

    life: int
    number: int
    hop: int
    steps: int
    born_seconds: float = 0.0
    behind: int = 1


NEVER = Visit(life=0, number=0, hop=0, steps=0)


def told_by_steps(visit: Visit) -> Visit:
    """Return a visit of an earlier epoch: only how many steps it has left in the copy counts.

    Its number is that of the steps, and its hop 0, which no visit of this epoch has.
    """
    return Visit(life=visit.life, number=visit.steps, hop=0, steps=visit.steps)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tour:
    """How far a stream has come on its tour.

    Attributes
    ----------
    seen : frozenset of NodeId
        The members visited on this tour.
    dead_links : frozenset of Link
        Links that were found dead on this tour. Without them two neighbors of a lost node would
        send the stream back and forth, each believing in the other's link to it.
    """

    seen: frozenset[NodeId] = frozenset()
    dead_links: frozenset[Link] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """One copy of a travelling model. Never changed: each visit makes a new copy.

    Attributes
    ----------
    stream_id : StreamId
        Which stream this is a copy of.
    model : Vector
        The travelling model (of its shard), shape ``[d]``.
    rate : Vector or None
        With drift correction the weighted sum of the nodes' gradient rates, shape ``[d]``.
    fence, hop
        Together the copy's `order`: of two copies the lower one dies where they meet.
    visits : mapping of NodeId to Visit
        For each member the last visit in *this copy's* history; absent before the first.
    tour : Tour
        Progress of the present tour.
    finished : frozenset of NodeId
        Members that had finished training at their last visit.
    closing : bool
        Whether this is the last tour of the session: it brings everyone the final model.
    changes : int
        How many visits in this copy's history have changed its cargo.
    clock_seconds : float
        The stream's own clock when this copy was sent, or kept: nodes share none.
    """

    stream_id: StreamId
    model: Vector
    rate: Vector | None = None
    fence: Fence = NO_FENCE
    hop: int = 0
    visits: Mapping[NodeId, Visit] = field(default_factory=dict)
    tour: Tour = field(default_factory=Tour)
    finished: frozenset[NodeId] = frozenset()
    closing: bool = False
    changes: int = 0
    clock_seconds: float = 0.0

    @property
    def cargo(self) -> Cargo:
        """What the copy carries under the accounting rule."""
        return Cargo(model=self.model, rate=self.rate)

    def with_cargo(self, cargo: Cargo) -> Stream:
        """Return this copy with another cargo."""
        return replace(self, model=cargo.model, rate=cargo.rate)

    @property
    def order(self) -> Order:
        """Where this copy stands among all copies of its stream."""
        return Order(self.fence, self.hop)

    def last_visit(self, node: NodeId) -> Visit:
        """Return the last visit to `node` in this copy's history (`NEVER` before the first)."""
        return self.visits.get(node, NEVER)

    def for_new_session(self) -> Stream:
        """Return this copy with the accounts it carries and without the last session's tour."""
        return replace(self, tour=Tour(), finished=frozenset(), closing=False)
