"""What counts as a fault, and how faults are summed up: at a node, in a round, in a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flwr_digest.core.ids import StreamId

FAULTS = {
    "lost_replies": "replies that did not come",  # at the broker
    "links_missing": "neighbors never linked with",
    "links_lost": "links lost",
    "links_refused": "links ended for what came over them",
    "resends": "hops sent again",
    "reroutes": "hops sent another way",
    "reissues": "streams re-issued",
    "stale_drops": "old copies dropped",
    "replacements": "old copies replaced",
    "failed_saves": "saves that failed",
}
"""The counters that count faults, and what they count in words. All have been dealt with."""


@dataclass(frozen=True, kw_only=True)
class Silence:
    """The longest time that a stream was away from a node that it visits.

    Attributes
    ----------
    seconds : float
        How long that was.
    tours : float
        The most of its tours that a stream was away for; 0 where none was measured.
    stream : StreamId or None
        Which one was away for that long; None where there was none.
    """

    seconds: float = 0.0
    tours: float = 0.0
    stream: StreamId | None = None

    def longer(self, other: Silence) -> Silence:
        """Return the longer of two, with the most tours of both."""
        one = self if self.seconds >= other.seconds else other
        tours = max(self.tours, other.tours)
        return Silence(seconds=one.seconds, tours=tours, stream=one.stream)


def faults_in(totals: Mapping[str, int]) -> dict[str, int]:
    """Return how often each fault was seen; of those that were, by the names of `FAULTS`."""
    return {name: totals[name] for name in FAULTS if totals.get(name, 0)}


def is_calm(totals: Mapping[str, int]) -> bool:
    """Whether there were no faults, and nothing was given up."""
    return not faults_in(totals) and not totals.get("forfeited_steps", 0)


def summed_up(totals: Mapping[str, int], silence: Silence, where: str = "") -> str:
    """Return faults in one line: how many, what was given up, and how long streams were away."""
    tours = f" ({silence.tours:.1f} tours)" if silence.tours else ""
    away = f"longest silence of a stream {silence.seconds:.1f} s{tours}"
    away += f" at {where}" if where else ""
    if is_calm(totals):
        return f"no faults; {away}"
    faults, given_up = faults_in(totals), totals.get("forfeited_steps", 0)
    named = ", ".join(f"{FAULTS[name]} {count}" for name, count in faults.items())
    return f"faults: {named or 'none'}; steps forfeited: {given_up}; {away}"
