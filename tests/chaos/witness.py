"""Looks at a node's core after every event: checks it, and writes down what has changed."""

from __future__ import annotations

import numpy as np

from flwr_digest.core.effects import Effect
from flwr_digest.core.events import Event
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.invariants import check_station
from flwr_digest.core.station import Station
from flwr_digest.overlay.session import Session
from tests.chaos import journal as journals
from tests.chaos.journal import Copy, Counts, Linked, Writer
from tests.support.overlay_session import Company

UNKNOWN = 10**9  # steps of other processes: only all journals together tell how many these are


def known_steps(session: Session) -> list[int]:
    """Return how many local steps the account of each shard knows."""
    known = [0] * session.plan.shards
    for stream_id, state in session.states.items():
        known[session.plan.streams[stream_id].shard] = state.account.steps
    return known


class Witness:
    """Stands between a core and its driver.

    Parameters
    ----------
    session : Session
        Whose core it is; it must not have begun.
    company : Company
        All that its process knows of the session.
    life : int
        The account under which the node goes on.
    journal : Writer
        Where to write what has changed.
    """

    def __init__(self, session: Session, company: Company, life: int, journal: Writer) -> None:
        self._core, self._work, self._journal = session.driver.node, company.work, journal
        self._node, self._life = self._core.config.node_id, life
        self._seen: dict[StreamId, tuple[object, ...]] = {}
        self._live: frozenset[NodeId] = frozenset()
        for key in self._work.made:
            self._work.made[key] = UNKNOWN
        self._begun = known_steps(session)
        self._work.made[self._node, life] = max(self._begun)
        self._really = self._core.handle
        self._core.handle = self._handle  # type: ignore[method-assign]

    @property
    def made(self) -> list[int]:
        """By shard, how many local steps can have come into the account."""
        new = self._work.made[self._node, self._life] - max(self._begun)
        return [known + new for known in self._begun]

    def _handle(self, event: Event, now: float) -> list[Effect]:
        effects = self._really(event, now)
        self.look()
        return effects

    def look(self) -> None:
        """Check all that the node keeps; write down what has changed since the last look."""
        for stream_id, station in self._core.stations.items():
            check_station(station)
            to = station.outbound.peer if station.outbound else None
            seen = station.kept, station.held, station.closed, to
            if self._has_changed(stream_id, seen):
                self._work.check_copy(station.kept, station.members, exact=False)
                self._journal.write(self._line(stream_id, station, to))
        if self._live != self._core.live:
            self._live = self._core.live
            peers: list[int] = sorted(self._live)
            self._journal.write(Linked(at=journals.now(), node=self._node, peers=peers))

    def _has_changed(self, stream_id: StreamId, seen: tuple[object, ...]) -> bool:
        before = self._seen.get(stream_id)
        self._seen[stream_id] = seen
        return before is None or before[0] is not seen[0] or before[1:] != seen[1:]

    def _line(self, stream_id: StreamId, station: Station, to: NodeId | None) -> Copy:
        kept, shard = station.kept, station.shard
        at = np.flatnonzero(kept.model)
        return Copy(
            at=journals.now(),
            node=self._node,
            life=self._life,
            made=self.made[self._core.config.streams[stream_id].shard],
            known=0 if shard is None else station.account.steps,
            stream=stream_id,
            order=[*kept.fence, kept.hop],
            visits=[[node, v.life, v.number, v.hop, v.steps] for node, v in kept.visits.items()],
            model=[[int(n), float(kept.model[n])] for n in at],
            member=shard is not None,
            held=station.held,
            closed=station.closed,
            to=to,
            counts=self._counts(),
        )

    def _counts(self) -> Counts:
        all_counters = [station.counters for station in self._core.stations.values()]
        names = ("reissues", "reroutes", "resends", "stale_drops", "forfeited_steps")
        sums = {name: sum(getattr(each, name) for each in all_counters) for name in names}
        return Counts(**sums, lost_deposits=sum(each.lost_deposits for each in all_counters))
