"""Audits a simulated session after every event of every node, in unit steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from operator import attrgetter
from statistics import median

import numpy as np

from flwr_digest.core.config import StreamPlan
from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.core.invariants import TOLERANCE_STEPS, UnitWork, check_station
from flwr_digest.core.node import Node
from flwr_digest.core.rounding import MOST
from flwr_digest.core.state import Counters, StationState
from flwr_digest.core.stream import Stream
from flwr_digest.core.vector import Vector

GIVEN_UP = ("forfeited_steps", "lost_deposits")
COUNTED = ("visits", "reissues", "resends", "reroutes", "replacements", *GIVEN_UP)
VISITS = COUNTED.index("visits")
NOTHING = (0,) * len(COUNTED)
_counts: Callable[[Counters], tuple[int, ...]] = attrgetter(*COUNTED)
TOLERANCE_RATE = TOLERANCE_STEPS + 1 / MOST  # it may travel rounded: half a step of its block


class Audit:
    """Knows what every life of every node has done, and what no copy may contain.

    Parameters
    ----------
    streams : mapping of StreamId to StreamPlan
        Whom each stream visits, and with which shard.
    works : sequence of UnitWork
        For each shard what was done: a node that is killed may have saved them at different times.

    Attributes
    ----------
    events, copies : int
        How many were audited.
    counters : Counter of str
        Sums over all nodes and lives so far.
    """

    def __init__(self, streams: Mapping[StreamId, StreamPlan], works: Sequence[UnitWork]) -> None:
        self._streams, self._works = streams, works
        self.events = self.copies = 0
        self.counters: Counter[str] = Counter()
        self._counted: dict[tuple[NodeId, StreamId], tuple[int, ...]] = {}
        self._checked: dict[tuple[NodeId, StreamId], Stream] = {}
        self._visits: dict[StreamId, list[tuple[float, NodeId]]] = {}

    @property
    def exact(self) -> bool:
        """Whether nothing was given up so far."""
        return not any(self.counters[name] for name in GIVEN_UP)

    # --- what the nodes do ------------------------------------------------------------------------

    def begins(self, node: NodeId, states: dict[StreamId, StationState]) -> None:
        """Note that a node goes on with these states: what they do not know of is no more."""
        self._counted = {key: counts for key, counts in self._counted.items() if key[0] != node}
        for stream_id, state in states.items():
            work, life = self._works[self._streams[stream_id].shard], state.account.life
            if (node, life) not in work.made:
                work.begin(node, life)
            work.made[node, life] = state.account.steps
            self._checked.pop((node, stream_id), None)

    def step(self, node: NodeId, life: int, shard: ShardId, steps: int) -> Vector:
        """Return what so many more local steps of a node do to a shard, shape ``[size]``."""
        work = self._works[shard]
        displacement = work.step(node, life)
        work.made[node, life] += steps - 1
        return displacement * np.float32(steps)

    def look(self, node: Node, now: float) -> None:
        """Check all that a node keeps, after an event."""
        self.events += 1
        self.count(node, now)
        for stream_id, station in node.stations.items():
            check_station(station)
            if self._checked.get((node.config.node_id, stream_id)) is not station.kept:
                self._checked[node.config.node_id, stream_id] = station.kept
                self.check_copy(station.kept)

    def check_copy(self, stream: Stream) -> None:
        """Check a copy, kept or about to be sent.

        Raises
        ------
        AssertionError
            It contains a step or a rate twice, in part, or not as often as it says.
        """
        self.copies += 1
        plan = self._streams[stream.stream_id]
        work = self._works[plan.shard]
        work.check_copy(stream, plan.members, exact=self.exact)
        if stream.rate is not None and self.exact:
            rates = stream.rate[:: work.apart] / work.weight
            off = np.minimum(np.abs(rates), np.abs(rates - 1.0))  # each step's gradient is 1
            assert off.max() < TOLERANCE_RATE, f"{stream.order}: a rate is not there once, or not"

    def count(self, node: Node, now: float) -> None:
        """Take in what the node has counted since: what it gives up its copies may lack."""
        me = node.config.node_id
        for stream_id, station in node.stations.items():
            counted, before = _counts(station.counters), self._counted.get((me, stream_id), NOTHING)
            if counted == before:
                continue
            self._counted[me, stream_id] = counted
            for name, count, known in zip(COUNTED, counted, before, strict=True):
                self.counters[name] += count - known
            if counted[VISITS] > before[VISITS]:
                self._visits.setdefault(stream_id, []).append((now, me))

    # --- what has come of it ----------------------------------------------------------------------

    def relays_only(self, node: Node) -> bool:
        """Whether a node has lost a stream's history, and lets it pass until the next plan."""
        return any(station.shard is None for station in node.members.values())

    def check_end(self, nodes: Collection[Node]) -> None:
        """Check that a session of which these nodes have seen the end ended in peace.

        Where a gateway is gone for good, each side ends for itself. Where one has come to relay
        only, what it has not passed on waits for the next plan: then nobody needs to agree yet.

        Raises
        ------
        AssertionError
            Not one live copy, or nodes that do not agree, or work that is missing.
        """
        for shard, work in enumerate(self._works):
            streams = {s: plan.members for s, plan in self._streams.items() if plan.shard == shard}
            for side in _sides(nodes, streams.values()):
                ours = [s for s, members in streams.items() if members & side]
                there = [node for node in nodes if node.config.node_id in side]
                if not any(self.relays_only(node) for node in there):
                    work.check_end(there, exact=self.exact, streams=ours)

    def tour_seconds(self) -> float:
        """Return how long a stream takes to come back to a node: the median of all."""
        times: dict[tuple[StreamId, NodeId], list[float]] = {}
        for stream_id, visits in self._visits.items():
            for at, node in visits:
                times.setdefault((stream_id, node), []).append(at)
        gaps = [after - at for each in times.values() for at, after in pairwise(each) if after > at]
        return median(gaps)

    def longest_silence_seconds(self) -> float:
        """Return the longest time in which a stream came to no node at all."""
        pairs = (pair for visits in self._visits.values() for pair in pairwise(visits))
        return max((after - at for (at, _), (after, _) in pairs), default=0.0)


def _sides(
    nodes: Collection[Node], regions: Collection[frozenset[NodeId]]
) -> list[frozenset[NodeId]]:
    """Return which of the nodes hear of each other, by way of such regions."""
    there = frozenset(node.config.node_id for node in nodes)
    sides: list[frozenset[NodeId]] = []
    for region in regions:
        side = region & there
        joined = [other for other in sides if other & side]
        sides = [other for other in sides if other not in joined] + [side.union(*joined)]
    return [side for side in sides if side]
