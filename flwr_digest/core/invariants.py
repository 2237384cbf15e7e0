"""What must always hold, written once: tests, simulations and audits of real runs all use these.

Work is audited with *unit steps*: each life of each node has a coordinate of its own, and every
local step moves that one by 1. Then a model says by itself how many steps of whom it contains.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from flwr_digest.core.account import most_history
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.node import Node
from flwr_digest.core.rounding import rounded
from flwr_digest.core.station import Station
from flwr_digest.core.stream import Stream
from flwr_digest.core.vector import Vector

TOLERANCE_STEPS = 1e-3  # float32 rounding of a few thousand unit steps stays far below


class UnitWork:
    """Hands out unit steps and remembers how many each life of each node has made.

    Parameters
    ----------
    size : int
        Coordinates of the model: `apart` times as many as there may be lives.
    weight : float
        The nodes' weight.
    apart : int
        How far apart the lives' coordinates are: 1, or more where other things on the same
        coordinates must not touch each other.
    """

    def __init__(self, size: int, weight: float, apart: int = 1) -> None:
        self.size, self.weight, self.apart = size, weight, apart
        self.made: dict[tuple[NodeId, int], int] = {}
        self._axes: dict[tuple[NodeId, int], int] = {}

    def begin(self, node: NodeId, life: int) -> None:
        """Give a life of a node its coordinate."""
        self._axes[node, life] = self.apart * len(self._axes)
        self.made[node, life] = 0

    def step(self, node: NodeId, life: int) -> Vector:
        """Return the displacement of one more local step, shape ``[size]``."""
        self.made[node, life] += 1
        displacement = np.zeros(self.size, dtype=np.float32)
        displacement[self._axes[node, life]] = 1.0
        return displacement

    def contained(self, stream: Stream, node: NodeId, life: int) -> float:
        """Return how many steps of that life the copy's model contains."""
        return float(stream.model[self._axes[node, life]]) / self.weight

    def check_copy(
        self, stream: Stream, members: Collection[NodeId] | None = None, *, exact: bool = True
    ) -> None:
        """Check one copy of a stream, travelling, held or kept.

        Parameters
        ----------
        stream : Stream
            The copy.
        members : collection of NodeId, optional
            Whom the stream visits: of these it must tell how many steps it contains. All by
            default. Of others it may: what it says must be true.
        exact : bool
            Nothing was forfeited; else a coordinate may be smaller than its account.

        Raises
        ------
        AssertionError
            A step is contained twice, in part, or is missing though nobody gave it up.
        """
        if stream.rate is not None:
            assert np.array_equal(rounded(stream.rate), stream.rate), "a rate that cannot travel"
        for (node, life), made in self.made.items():
            contained, visit = self.contained(stream, node, life), stream.last_visit(node)
            told = visit.steps if visit.life == life else made
            about = f"{stream.order}: steps of {node} (life {life}): {contained} of {told} told"
            assert told <= made, f"{about}, {made} made"
            assert contained <= told + TOLERANCE_STEPS, f"{about}: counted twice"
            assert abs(contained - round(contained)) <= TOLERANCE_STEPS, f"{about}: in part"
            named = members is None or node in members or node in stream.visits
            if exact and visit.life == life and named:
                assert abs(contained - told) <= TOLERANCE_STEPS, f"{about}: lost"

    def check_end(
        self,
        nodes: Collection[Node],
        *,
        exact: bool = True,
        streams: Collection[StreamId] | None = None,
    ) -> None:
        """Check a session that ended in peace: all agree on one copy, and all work is in it.

        Parameters
        ----------
        nodes : collection of Node
            All that were there at the end.
        exact : bool
            See `check_copy`.
        streams : collection of StreamId, optional
            Only these. All by default.

        Raises
        ------
        AssertionError
            Nodes ended with different copies, or work is missing that nobody forfeited.
        """
        by_stream: dict[StreamId, list[Station]] = {}
        for node in nodes:
            for stream_id, station in node.members.items():
                if streams is not None and stream_id not in streams:
                    continue
                by_stream.setdefault(stream_id, []).append(station)
        for stations in by_stream.values():
            self._check_end_of(stations, nodes, exact=exact)

    def _check_end_of(
        self, stations: list[Station], nodes: Collection[Node], *, exact: bool
    ) -> None:
        """Check the end of one stream."""
        assert all(station.closed for station in stations), "a node still awaits the stream"
        assert sum(station.held for station in stations) == 1, "not one live copy"
        newest = max((station.kept for station in stations), key=lambda kept: kept.order)
        self.check_copy(newest, stations[0].members, exact=exact)
        for station in stations:
            node_id, account = station.config.node_id, station.account
            visit = newest.last_visit(node_id)
            assert visit.life == account.life, f"the last life of {node_id} was left out"
            assert visit.steps == account.steps, f"work of {node_id} was left out"
            same = np.allclose(station.kept.model, newest.model, atol=1e-4)
            assert same, f"node {node_id} ended with another model"
        for node in nodes if exact else ():
            life = next(iter(node.members.values())).account.life
            node_id = node.config.node_id
            missing = self.made[node_id, life] - self.contained(newest, node_id, life)
            assert abs(missing) <= TOLERANCE_STEPS, f"{missing} steps of {node_id} never came"


def check_station(station: Station) -> None:
    """Check what one node keeps for one stream.

    Raises
    ------
    AssertionError
        The account or the kept copy contradicts itself, or the history is not bounded.
    """
    kept = station.kept
    assert kept.fence <= station.highest, "the kept copy outranks the highest fence seen"
    assert not (station.held and station.outbound), "the stream is both here and on its way"
    if station.shard is None:  # it only passes through
        return
    account = station.account
    visit = kept.last_visit(station.config.node_id)
    assert account.applied[account.latest].steps <= account.steps, "more applied than done"
    bound = most_history(len(station.members))
    assert len(account.applied) <= bound, "the history grows without bound"
    if visit.life == account.life:
        assert visit.number <= account.latest, "the kept copy knows a visit that never was"
        assert visit.number in account.applied, "the kept copy refers to history that is gone"
