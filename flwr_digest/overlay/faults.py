"""Faults in the log: one line when one begins, and one when it is over with how often it was.

Each says what happened, where, and what was done. A neighbor that is dead for a minute has many
hops sent to it in vain, of several streams; that is one fault.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from flwr_digest.core.effects import Notice, NoticeKind
from flwr_digest.core.ids import NodeId
from flwr_digest.overlay.link import LOGGER

QUIET_SECONDS = 10.0
"""A fault is over at the earliest when it was not seen for so long. A guess: a link that comes and
goes does so within seconds."""

QUIET_PAUSES = 3.0
"""And not before so many times the longest pause in it: a wait in vain doubles the next."""


@dataclass(kw_only=True, slots=True)
class _Episode:
    """A fault that has begun: when, when it was seen last, and how often more than once."""

    began: float
    last: float
    longest_pause: float = 0.0
    more: int = 0

    @property
    def over_at(self) -> float:
        """From when on it is over, if it is not seen again."""
        return self.last + max(QUIET_SECONDS, QUIET_PAUSES * self.longest_pause)


class FaultLog:
    """Tells of one node's faults. All calls come from the driver's thread.

    Parameters
    ----------
    node_id : NodeId
        The node.
    """

    def __init__(self, node_id: NodeId) -> None:
        self._node_id = node_id
        self._episodes: dict[str, _Episode] = {}
        self._due = math.inf

    def tell(self, fault: str, line: str, now: float) -> None:
        """Log a fault, unless it is one that goes on; `now` in seconds of the driver's clock.

        `fault` names it, such that equal names are one fault; `line` says what was done.
        """
        self.calm(now)
        episode = self._episodes.get(fault)
        if episode is None:
            self._episodes[fault] = episode = _Episode(began=now, last=now)
            LOGGER.warning("node %d%s", self._node_id, line)
        else:
            episode.longest_pause = max(episode.longest_pause, now - episode.last)
            episode.last = now
            episode.more += 1
        self._due = min(each.over_at for each in self._episodes.values())

    def calm(self, now: float) -> None:
        """Tell of faults that are over. Cheap: to be called at every event."""
        if now < self._due:
            return
        for fault, episode in list(self._episodes.items()):
            if episode.over_at <= now:
                self._over(fault, episode)
        self._due = min((each.over_at for each in self._episodes.values()), default=math.inf)

    def end(self) -> None:
        """Tell of all that has been counted only: the session is over."""
        for fault, episode in list(self._episodes.items()):
            self._over(fault, episode)
        self._due = math.inf

    def _over(self, fault: str, episode: _Episode) -> None:
        del self._episodes[fault]
        if episode.more:
            seconds = episode.last - episode.began
            times = "once more" if episode.more == 1 else f"{episode.more} times more"
            LOGGER.warning("node %d: %s: %s in %.1f s", self._node_id, fault, times, seconds)


def words(notice: Notice) -> tuple[str, str]:
    """Return the name of the fault that a notice is about, and what to say after the node's name.

    What one neighbor does not answer is one fault, whichever the stream.
    """
    stream = f", stream {notice.stream_id}: "
    match notice.kind:
        case NoticeKind.RESENT:
            fault = f"no receipt from node {notice.peer}"
            return fault, f"{stream}{fault} in {notice.seconds:.1f} s, sent again"
        case NoticeKind.REROUTED:
            fault = f"no receipt from node {notice.instead_of}, another way taken"
            silent = f"no receipt from node {notice.instead_of} in {notice.seconds:.1f} s"
            return fault, f"{stream}{silent}, sent to node {notice.peer} instead"
        case NoticeKind.REISSUED:
            away = f"not seen for {notice.seconds:.1f} s{_tours(notice.tours)}"
            copy = f"re-issued from the copy of hop {notice.hop} here"
            return f"stream {notice.stream_id} re-issued", f"{stream}{away}, {copy}"
        case NoticeKind.FORFEITED:
            given_up = f"{notice.steps} local steps given up rather than counted twice"
            old = "a copy came that is older than what this node remembers"
            return f"stream {notice.stream_id} too old", f"{stream}{old}: {given_up}"
        case NoticeKind.REPLACED:
            old = "a copy came that is older than what this gateway remembers"
            return f"stream {notice.stream_id} replaced", f"{stream}{old}: its own takes its place"
        case NoticeKind.HISTORY_LOST:
            why = "gateways replace each other's copies in turn"
            return f"stream {notice.stream_id} lost", f"{stream}{why}: only relayed from now on"


def _tours(tours: float) -> str:
    return f" ({tours:.1f} tours)" if tours else ""
