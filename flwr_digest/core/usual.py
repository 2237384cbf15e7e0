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
hold a stream for twice as long; one whose training stands still meanwhile, for four times."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What was so when a stream left: from there on steps are compared.

    Attributes
    ----------
    at : float
        When that was, by the driver's clock in seconds.
    steps : int
        How many local steps the node had made, in this session.
    visits : mapping of NodeId to Visit
        What the copy told of the others.
    """

    at: float = 0.0
    steps: int = 0
    visits: Mapping[NodeId, Visit] = field(default_factory=dict)


@dataclass(kw_only=True, slots=True)
class Usual:
    """Compares a node's local steps with those of the others, since it last made the pace's.

    Not since the very last time: a short tour tells too little of anybody. And what a copy tells
    of the others when it leaves is as old as its last visits there, up to a tour; so the node's own
    steps are counted from one mark earlier: rather too many than too few.

    Attributes
    ----------
    config : NodeConfig
        The node's part of the plan.
    own, others, latest : Mark
        From where on the node's own steps are compared, from where on those of the others, and the
        newest mark. Between two of them the node has made the pace's steps.
    left_at : float
        When the stream left last, or the session began.
    stay : Stay or None
        What is known of this stay; None before that is asked.
    """

    config: NodeConfig
    own: Mark = field(default_factory=Mark)
    others: Mark = field(default_factory=Mark)
    latest: Mark = field(default_factory=Mark)
    left_at: float = 0.0
    stay: Stay | None = None

    def begin(self, stream: Stream, now: float) -> None:
        """Note that the session begins, with this copy."""
        self.left_at = now
        self.own = self.others = self.latest = Mark(at=now, visits=stream.visits)

    def left(self, stream: Stream, steps: int, now: float) -> None:
        """Note that the stream leaves, after so many local steps of this session."""
        self.left_at = now
        if steps - self.latest.steps >= self.config.local_steps:  # enough to compare anew from here
            mark = Mark(at=now, steps=steps, visits=stream.visits)
            self.own, self.others, self.latest = self.others, self.latest, mark

    def renew(self) -> None:
        """Note that a copy has come: it may tell something else."""
        self.stay = None

    def keeps_up(self, steps: int) -> bool:
        """Whether it is known not to be slow, after so many local steps of this session."""
        usual_steps = 0 if self.stay is None else self.stay.usual_steps
        return 0 < usual_steps <= SLOW * (steps - self.own.steps + 1)

    def until(self, stream: Stream, steps: int, seconds: float, now: float) -> float | None:
        """Return until when the pace may hold the stream here at most; None: as long as it takes.

        Where nobody is known to have made a step, it is held as long as that has been so already:
        it must neither wait for ever nor race round for nothing. Who is not slow has twice the time
        that it can need, and lets go if its training stands still meanwhile.

        Parameters
        ----------
        stream : Stream
            The copy that is here.
        steps : int
            How many local steps this node has made in this session.
        seconds : float
            How long to hold the stream at least at a node that is not known to be slow.
        now : float
            The driver's clock, in seconds.
        """
        if self.stay is None:
            self.stay = self._stay(stream, now)
        stay = self.stay
        if stay.alone:
            return None
        if stay.usual_steps:
            pace_seconds = stay.passed_seconds * self.config.local_steps / stay.usual_steps
            if not self.keeps_up(steps):
                return self.left_at + pace_seconds
            return max(self.left_at + 2 * SLOW * pace_seconds, stay.began_at + seconds)
        made = steps - self.own.steps
        return None if made else stay.began_at + max(stay.passed_seconds, seconds)

    def _stay(self, stream: Stream, now: float) -> Stay:
        members = self.config.streams[stream.stream_id].members
        training = members - {self.config.node_id} - stream.finished
        made = sorted(self._made(stream, training))
        return Stay(
            began_at=now,
            usual_steps=made[(len(made) - 1) // 2] if made else 0,
            passed_seconds=now - self.others.at,
            alone=not training,
        )

    def _made(self, stream: Stream, nodes: frozenset[NodeId]) -> list[int]:
        """Return how many local steps the nodes have made that were visited in the meantime."""
        made = []
        for node in nodes:
            visit, before = stream.last_visit(node), self.others.visits.get(node, NEVER)
            if visit != before:
                made.append(visit.steps - (before.steps if visit.life == before.life else 0))
        return made
