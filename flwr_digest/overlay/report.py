"""What a session was like, in figures and in one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from flwr_digest.core.faults import Silence, summed_up
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.state import Counters
from flwr_digest.overlay.traffic import Traffic


@dataclass(frozen=True, kw_only=True)
class SessionReport:
    """What a session was like, in figures.

    Attributes
    ----------
    ending : str
        Why the node left, in words.
    traffic : mapping of NodeId to Traffic
        By neighbor.
    counters : mapping of StreamId to Counters
        By stream.
    unreached : mapping of NodeId to str
        Neighbors that there never was a link to: their address, and what was found there.
    unshared_steps : int
        Local steps that no stream has taken up yet (of the shard where these are most). They are
        kept for the next session.
    corrections_off : int
        1 where drift correction was switched off, as it grew; 0 otherwise.
    seconds : float
        How long the session took.
    links_lost : int
        How often a link ended without goodbye.
    links_refused : int
        How often this node ended a link because of what had come over it.
    failed_saves : int
        How often the state could not be saved.
    away_seconds : mapping of StreamId to float
        For how long streams that have not come to their end have been away.
    """

    ending: str
    traffic: Mapping[NodeId, Traffic]
    counters: Mapping[StreamId, Counters]
    unreached: Mapping[NodeId, str]
    unshared_steps: int
    corrections_off: int
    seconds: float
    links_lost: int = 0
    links_refused: int = 0
    failed_saves: int = 0
    away_seconds: Mapping[StreamId, float] = field(default_factory=dict)

    def totals(self) -> dict[str, int]:
        """Return the sums of all counters."""
        names = (
            "unshared_steps", "corrections_off", "links_lost", "links_refused", "failed_saves",
        )  # fmt: skip
        sums: dict[str, int] = {name: getattr(self, name) for name in names}
        sums["links_missing"] = len(self.unreached)
        rows = [traffic.counts() for traffic in self.traffic.values()]
        rows += [asdict(counters) for counters in self.counters.values()]
        for row in rows:
            for name, value in row.items():
                if isinstance(value, int):  # the others are no counts
                    sums[name] = sums.get(name, 0) + value
        return sums

    @property
    def silence(self) -> Silence:
        """The longest silence of any stream at this node, also one that has not ended."""
        found = Silence()
        for stream_id, counters in self.counters.items():
            away = self.away_seconds.get(stream_id, 0.0)
            seconds = max(counters.longest_silence_seconds, away)
            tours = counters.longest_silence_tours
            found = Silence(seconds=seconds, tours=tours, stream=stream_id).longer(found)
        return found

    def summary(self) -> str:
        """Return the faults of the session in one line."""
        return summed_up(self.totals(), self.silence)
