"""When messages arrive: each direction of a link is a queue with a bandwidth and a latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flwr_digest.errors import ConfigError, LocalProtocolError
from flwr_digest.learning.checks import Range, check_number
from flwr_digest.learning.seeds import Purpose, generator
from flwr_digest.sim.downtime import Change, Downtime, Span, check_link
from flwr_digest.sim.faults import Absence, Freeze, Loss, Outage

__all__ = ["Change", "Network"]

_BLOCK_DRAWS = 64
"""Losses of a link that are drawn at once."""

_IN_SPELLS = 1
"""Tells the draws of spells of losses from those of losses at any time."""


class _Direction:
    """One direction of a link: when it is free, what was sent, and which message is lost next."""

    __slots__ = (
        "_draws",
        "_lost",
        "_seed",
        "_spells",
        "_spells_draws",
        "bytes_sent",
        "down",
        "free_at",
        "messages_sent",
    )

    def __init__(
        self, down: tuple[Span, ...], seed: tuple[int, int, int], spells: tuple[Loss, ...] = ()
    ) -> None:
        self.down = down
        self.free_at = 0.0
        self.bytes_sent = 0
        self.messages_sent = 0
        self._seed = seed
        self._draws: np.random.Generator | None = None
        self._lost: list[bool] = []
        self._spells = spells
        self._spells_draws: np.random.Generator | None = None

    def loses(self, loss: float) -> bool:
        """Whether chance takes the next message; depends on its number on this link only."""
        if not self._lost:
            if self._draws is None:
                seed, sender, receiver = self._seed
                self._draws = generator(seed, Purpose.LOSSES, sender, receiver)
            self._lost = (self._draws.random(_BLOCK_DRAWS) < loss).tolist()[::-1]
        return self._lost.pop()

    def loses_in_spell(self, start: float) -> bool:
        """Whether a spell of losses takes a message that is put on the link at a time."""
        spells = [s for s in self._spells if s.start_seconds <= start < s.end_seconds]
        if not spells:
            return False
        if self._spells_draws is None:
            seed, sender, receiver = self._seed
            self._spells_draws = generator(seed, Purpose.LOSSES, sender, receiver, _IN_SPELLS)
        shares = [spell.share for spell in spells]
        return bool((self._spells_draws.random(len(shares)) < shares).any())


class Network:
    """Directed links, full duplex. A message starts when the link is free, and holds it meanwhile.

    It arrives its size over the bandwidth, plus the latency, after it started. It is lost by
    chance, or if the link is down at any moment in between.

    Parameters
    ----------
    neighbors : mapping of int to frozenset of int, optional
        Who has a link to whom, symmetric. None: everyone to everyone, a server of any number
        from 0 included.
    bandwidth_bytes_per_second : float
        Of each direction of each link; may be infinite.
    latency_seconds : float
        What a message of any size takes on top.
    loss : float
        How likely it is that a message gets lost, from 0 to below 1.
    outages : sequence of Outage
        When which links are down.
    absences : sequence of Absence or Freeze
        When which nodes are away: all their links are down.
    losses : sequence of Loss
        When which links lose more messages.
    seed : int
        Decides which messages get lost.
    ideal : bool
        Everyone has a link to everyone, and nothing is ever lost or down. For rivals with a
        server that has no limits but those of each node's own link.

    Raises
    ------
    ConfigError
        A number out of range, or an outage or losses of a link that there is not.
    """

    def __init__(
        self,
        neighbors: Mapping[int, frozenset[int]] | None,
        *,
        bandwidth_bytes_per_second: float,
        latency_seconds: float,
        loss: float = 0.0,
        outages: Sequence[Outage] = (),
        absences: Sequence[Absence | Freeze] = (),
        losses: Sequence[Loss] = (),
        seed: int = 0,
        ideal: bool = False,
    ) -> None:
        if not bandwidth_bytes_per_second > 0:
            raise ConfigError(
                f"bandwidth_bytes_per_second is {bandwidth_bytes_per_second}: it must be above 0"
            )
        check_number("latency_seconds", latency_seconds, Range(least=0))
        check_number("loss", loss, Range(least=0, below=1))
        self._neighbors = None if ideal else neighbors
        self._bandwidth = bandwidth_bytes_per_second
        self._latency = latency_seconds
        self._loss = 0.0 if ideal else loss
        self._losses = () if ideal else tuple(losses)
        for spell in self._losses:
            for ends in spell.links:
                check_link("losses", neighbors, *ends)
        self._seed = seed
        self._downtime = Downtime(None) if ideal else Downtime(neighbors, outages, absences)
        self._directions: dict[tuple[int, int], _Direction] = {}

    @property
    def bytes_sent(self) -> int:
        """All that was sent so far, lost messages included."""
        return sum(direction.bytes_sent for direction in self._directions.values())

    @property
    def messages_sent(self) -> int:
        """How many messages were sent so far, lost ones included."""
        return sum(direction.messages_sent for direction in self._directions.values())

    def bytes_by_link(self) -> dict[tuple[int, int], int]:
        """Return what was sent over each link that was used, by sender and receiver."""
        return {ends: direction.bytes_sent for ends, direction in self._directions.items()}

    def messages_by_link(self) -> dict[tuple[int, int], int]:
        """Return how many messages were sent over each link that was used."""
        return {ends: direction.messages_sent for ends, direction in self._directions.items()}

    def send(self, sender: int, receiver: int, size_bytes: int, at_seconds: float) -> float | None:
        """Send a message; calls for one link must be in the order of time.

        Parameters
        ----------
        sender, receiver : int
            Two neighbors.
        size_bytes : int
            0 or more.
        at_seconds : float
            When it is ready to be sent; it may have to wait for earlier messages.

        Returns
        -------
        float or None
            When it arrives, in seconds; None if it is lost, which nobody is told. It takes its
            time on the link and counts as sent all the same.

        Raises
        ------
        LocalProtocolError
            The two have no link.
        """
        direction = self._direction(sender, receiver)
        return self._transmit(direction, size_bytes, max(at_seconds, direction.free_at))

    def send_surely(self, sender: int, receiver: int, size_bytes: int, at_seconds: float) -> float:
        """Send a message again and again until it arrives, as TCP does; return when, in seconds.

        While the link is down it waits. A loss is noticed when the receipt is missing, two
        latencies after the message has left the link; each attempt counts as sent. Later messages
        wait for all attempts. Otherwise as `send`.
        """
        direction = self._direction(sender, receiver)
        ready = at_seconds
        while True:
            start = _next_up(direction.down, max(ready, direction.free_at))
            arrival = self._transmit(direction, size_bytes, start)
            if arrival is not None:
                return arrival
            ready = direction.free_at + 2 * self._latency

    def is_up(self, one: int, other: int, at_seconds: float) -> bool:
        """Whether there is a link between two nodes that is not down at a time."""
        if self._neighbors is not None and other not in self._neighbors[one]:
            return False
        return not any(start <= at_seconds < end for start, end in self._downtime.of(one, other))

    def is_present(self, node: int, at_seconds: float) -> bool:
        """Whether a node is not away at a time."""
        return self._downtime.is_present(node, at_seconds)

    def changes(self) -> list[Change]:
        """Return all that goes and comes back, in the order of time; see `Downtime.changes`."""
        return self._downtime.changes()

    def _transmit(self, direction: _Direction, size_bytes: int, start: float) -> float | None:
        """Put a message on a free link; return when it arrives, or None if it is lost."""
        direction.free_at = start + size_bytes / self._bandwidth
        direction.bytes_sent += size_bytes
        direction.messages_sent += 1
        arrival = direction.free_at + self._latency
        by_chance = bool(self._loss) and direction.loses(self._loss)
        by_chance = by_chance or direction.loses_in_spell(start)
        if by_chance or any(begin <= arrival and start < end for begin, end in direction.down):
            return None
        return arrival

    def _direction(self, sender: int, receiver: int) -> _Direction:
        """Return one direction of a link, made when it is first used."""
        direction = self._directions.get((sender, receiver))
        if direction is None:
            if self._neighbors is not None and receiver not in self._neighbors[sender]:
                raise LocalProtocolError(f"nodes {sender} and {receiver} have no link")
            down = self._downtime.of(sender, receiver)
            spells = tuple(each for each in self._losses if each.befalls(sender, receiver))
            direction = _Direction(down, (self._seed, sender, receiver), spells)
            self._directions[sender, receiver] = direction
        return direction


def _next_up(down: tuple[Span, ...], at_seconds: float) -> float:
    """Return the first moment from a time on at which a link is up."""
    return next((end for start, end in down if start <= at_seconds < end), at_seconds)
