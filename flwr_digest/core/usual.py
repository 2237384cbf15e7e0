"""How long a slow node holds a stream: no longer than most nodes would.

A copy tells how many local steps each node had made by its last visit there. So who has the stream
knows how many the others have made since it left here, and whether it is slow itself. Without that
one node that took 12 s for a step held the stream for two minutes wherever a tour ended there, and
all others learned alone meanwhile (measured through Flower).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flwr_digest.core.config import NodeConfig
from flwr_digest.core.ids import NodeId
from flwr_digest.core.stream import NEVER, Stream, Visit

SLOW = 2
"""A node is slow if most others make more than so many times its local steps, even if the one that
it is about to make counts. A guess: nodes that differ by less keep the pace by their own steps, and
hold a stream for twice as long at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stay:
    """What is known as a stay of the stream begins.

    Attributes
    ----------
    began_at : float
        When that was, by the driver's clock in seconds.
    usual_steps : int
        How many local steps most others have made at least since the comparison began; of each
        those up to its last visit.
    passed_seconds : float
        How long that is.
    alone : bool
        Whether all others have finished training.
    """

    began_at: float
    usual_steps: int
    passed_seconds: float
    alone: bool


@dataclass(kw_only=True, slots=True)
class Usual:
    """Compares a node's local steps with those of the others, since it last made the pace's.

    What a copy tells of the others when it leaves is as old as its last visits there, up to a tour.
    So the node's own steps are counted from one comparison earlier: rather too many than too few.

    Attributes
    ----------
    config : NodeConfig
        The node's part of the plan.
    since : float
        From when on its own steps are counted, by the driver's clock in seconds.
    steps : int
        How many it had made then, in this session.
    visits : mapping of NodeId to Visit
        What the copy told of the others when the last comparison began.
    latest : tuple of float and int
        When that was, and how many local steps the node had made then.
    left_at : float
        When the stream left last, or the session began.
    stay : Stay or None
        What is known of this stay; None before that is asked.
    """

    config: NodeConfig
    since: float = 0.0
    steps: int = 0
    visits: Mapping[NodeId, Visit] = field(default_factory=dict)
    latest: tuple[float, int] = (0.0, 0)
    left_at: float = 0.0
    stay: Stay | None = None

    def begin(self, stream: Stream, now: float) -> None:
        """Note that the session begins, with this copy."""
        self.since = self.left_at = now
        self.latest, self.visits = (now, 0), stream.visits

    def left(self, stream: Stream, steps: int, now: float) -> None:
        """Note that the stream leaves, after so many local steps of this session."""
        self.left_at = now
        if steps - self.latest[1] >= self.config.local_steps:  # enough to compare anew from here
            self.since, self.steps = self.latest
            self.latest, self.visits = (now, steps), stream.visits

    def renew(self) -> None:
        """Note that a copy has come: it may tell something else."""
        self.stay = None

    def until(self, stream: Stream, steps: int, seconds: float, now: float) -> float | None:
        """Return until when the pace may hold the stream here at most; None: as long as it takes.

        Where nobody is known to have made a step, it is held as long as that has been so already:
        it must neither wait for ever nor race round for nothing.

        Parameters
        ----------
        stream : Stream
            The copy that is here.
        steps : int
            How many local steps this node has made in this session.
        seconds : float
            How long to hold the stream at least where too little is known.
        now : float
            The driver's clock, in seconds.
        """
        if self.stay is None:
            self.stay = self._stay(stream, now)
        stay, own = self.stay, steps - self.steps
        if stay.alone:
            return None
        if stay.usual_steps > SLOW * (own + 1):
            pace_seconds = stay.passed_seconds * self.config.local_steps / stay.usual_steps
            return self.left_at + pace_seconds
        return None if own else stay.began_at + max(stay.passed_seconds, seconds)

    def _stay(self, stream: Stream, now: float) -> Stay:
        members = self.config.streams[stream.stream_id].members
        training = members - {self.config.node_id} - stream.finished
        made = sorted(self._made(stream, training))
        return Stay(
            began_at=now,
            usual_steps=made[(len(made) - 1) // 2] if made else 0,
            passed_seconds=now - self.since,
            alone=not training,
        )

    def _made(self, stream: Stream, nodes: frozenset[NodeId]) -> list[int]:
        """Return how many local steps the nodes have made that were visited in the meantime."""
        made = []
        for node in nodes:
            visit, before = stream.last_visit(node), self.visits.get(node, NEVER)
            if visit != before:
                made.append(visit.steps - (before.steps if visit.life == before.life else 0))
        return made
