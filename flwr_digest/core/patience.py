"""How long to wait: learned from what was seen, never a bare constant."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from flwr_digest.core.config import NodeConfig
from flwr_digest.core.ids import NodeId

LEAST_SECONDS = 0.2  # as Linux's TCP: below that, a busy processor looks like a lost message
MOST_GROWTH = 8  # a guess: three late answers make up for a wait that is 500 times too short
MOST_BACKOFF = 64  # as TCP: past six doublings, waiting longer helps no one


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """A waiting time that follows what was observed, as TCP's does (RFC 6298).

    Attributes
    ----------
    first_seconds : float
        The wait before anything was observed.
    smoothed_seconds : float or None
        Smoothed observations.
    deviation_seconds : float
        Smoothed distance of the observations from `smoothed_seconds`.
    backoff : int
        Factor on the wait; doubled by each wait that was in vain, 1 again after an observation.
    """

    first_seconds: float
    smoothed_seconds: float | None = None
    deviation_seconds: float = 0.0
    backoff: int = 1

    @property
    def wait_seconds(self) -> float:
        """How long to wait now."""
        if self.smoothed_seconds is None:
            return self.first_seconds * self.backoff
        # The floor of a half keeps a perfectly regular past from making the wait razor-thin.
        margin = max(4 * self.deviation_seconds, self.smoothed_seconds / 2)
        return max(self.smoothed_seconds + margin, LEAST_SECONDS) * self.backoff

    def observed(self, seconds: float) -> Patience:
        """Return the patience after what was waited for took `seconds`."""
        if self.smoothed_seconds is None:
            smoothed, deviation = seconds, seconds / 2
        else:
            deviation = 0.75 * self.deviation_seconds + 0.25 * abs(seconds - self.smoothed_seconds)
            smoothed = 0.875 * self.smoothed_seconds + 0.125 * seconds
        return replace(self, smoothed_seconds=smoothed, deviation_seconds=deviation, backoff=1)

    def in_vain(self) -> Patience:
        """Return the patience after a wait that was in vain: twice as long."""
        return replace(self, backoff=min(self.backoff * 2, MOST_BACKOFF))

    def anew(self) -> Patience:
        """Return the patience with another, whom nobody has waited for in vain.

        Where nothing was ever observed, it may be the first wait that is too short, for all: then
        this wait was as much in vain as any.
        """
        return self.in_vain() if self.smoothed_seconds is None else replace(self, backoff=1)

    def too_short(self, seconds: float) -> Patience:
        """Return the patience after what came too late, after `seconds`.

        A frozen node's answer takes as long as it was frozen, and says little of others: so one
        such observation makes the wait only some times longer.
        """
        wait_seconds = replace(self, backoff=1).wait_seconds
        return self.observed(min(seconds, MOST_GROWTH * wait_seconds))


@dataclass(kw_only=True, slots=True)
class Delays:
    """What a node has learned of how long things take with one stream.

    Attributes
    ----------
    receipt : Patience
        For a hop to be acknowledged.
    tour : Patience
        For the stream to come back.
    lost_tours : float
        After how many times its tour time the stream is thought lost.
    """

    receipt: Patience
    tour: Patience
    lost_tours: float

    @property
    def lost_after_seconds(self) -> float:
        """How long the stream may stay away: several tours, or as long as their variation says.

        Not several times the latter: with tours that vary by as much it made nine (measured).
        """
        tour = self.tour
        several = self.lost_tours * (tour.smoothed_seconds or 0.0) * tour.backoff
        return max(several, tour.wait_seconds)


def first_delays(config: NodeConfig) -> Delays:
    """Return what is believed of delays before anything was observed."""
    return Delays(
        receipt=Patience(first_seconds=config.first_receipt_seconds),
        tour=Patience(first_seconds=config.first_lost_seconds),
        lost_tours=config.lost_tours,
    )


@dataclass(kw_only=True, slots=True)
class Grace:
    """A wait that is granted once: asking for it again makes it no longer.

    Attributes
    ----------
    until : float or None
        When it is over, by the driver's clock in seconds; None while it has not begun.
    """

    until: float | None = None

    def begun(self, now: float, seconds: float) -> float | None:
        """Return until when to wait, from the first call on `seconds`; None once that is over."""
        if self.until is None:
            self.until = now + seconds
        return self.until if now < self.until else None

    def end(self, now: float) -> None:
        """Grant no more of it."""
        self.until = now

    def renew(self) -> None:
        """Grant it anew, next time."""
        self.until = None


@dataclass(kw_only=True, slots=True)
class LastChance:
    """A wait for nodes that cannot be reached, granted once for the same ones.

    Not anew with each copy that comes: while it is held here others lose their patience, and what
    they issue instead comes here, too, and would be held again, for ever (seen in simulation).

    Attributes
    ----------
    grace : Grace
        The wait.
    nodes : frozenset of NodeId
        Whom it was granted for last.
    """

    grace: Grace = field(default_factory=Grace)
    nodes: frozenset[NodeId] = frozenset()

    def until(self, nodes: frozenset[NodeId], now: float, seconds: float) -> float | None:
        """Return until when to wait for some nodes, at first for `seconds`; None: no longer."""
        if nodes != self.nodes:
            self.nodes = nodes
            self.grace.renew()
        return self.grace.begun(now, seconds)

    def renew(self) -> None:
        """Grant it anew: things have changed."""
        self.grace.renew()
