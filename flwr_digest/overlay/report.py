"""What a session was like, in figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

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
    """

    ending: str
    traffic: Mapping[NodeId, Traffic]
    counters: Mapping[StreamId, Counters]
    unreached: Mapping[NodeId, str]
    unshared_steps: int
    corrections_off: int
    seconds: float

    def totals(self) -> dict[str, int]:
        """Return the sums of all counters."""
        sums = {
            "unshared_steps": self.unshared_steps,
            "corrections_off": self.corrections_off,
        }
        rows = [traffic.counts() for traffic in self.traffic.values()]
        rows += [asdict(counters) for counters in self.counters.values()]
        for row in rows:
            for name, value in row.items():
                sums[name] = sums.get(name, 0) + value
        return sums
