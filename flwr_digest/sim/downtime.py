"""When which links are down and which nodes away, put together from all faults of a scenario."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flwr_digest.errors import ConfigError
from flwr_digest.sim.faults import Absence, Freeze, Outage

Span = tuple[float, float]
"""From when to when, in seconds; the end does not belong to it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A link or a node that goes or comes back.

    Attributes
    ----------
    at_seconds : float
        When.
    up : bool
        Whether it comes back.
    node : int, optional
        The node, if it is one that leaves or returns.
    link : tuple of (int, int), optional
        The link, if it is one, smaller node first: down also while one of its ends is away.
    """

    at_seconds: float
    up: bool
    node: int | None = None
    link: tuple[int, int] | None = None


class Downtime:
    """The faults of a network by link and by node.

    Parameters
    ----------
    neighbors : mapping of int to frozenset of int, optional
        Who has a link to whom. None: everyone to everyone.
    outages : sequence of Outage
        When which links are down.
    absences : sequence of Absence or Freeze
        When which nodes are away: all their links are down. A frozen node is no more away than
        others; here may be told of it where nobody minds the difference.

    Raises
    ------
    ConfigError
        An outage of a link that there is not.
    """

    def __init__(
        self,
        neighbors: Mapping[int, frozenset[int]] | None,
        outages: Sequence[Outage] = (),
        absences: Sequence[Absence | Freeze] = (),
    ) -> None:
        self._neighbors = neighbors
        self._outages = tuple(outages)
        self._absences = tuple(absences)
        self._spans: dict[tuple[int, int], tuple[Span, ...]] = {}
        for outage in self._outages:
            for ends in outage.links:
                check_link("outages", neighbors, *ends)

    def of(self, one: int, other: int) -> tuple[Span, ...]:
        """Return when the link between two nodes is down: in order, and apart from each other.

        It is down also while one of the two is away.
        """
        if not (self._outages or self._absences):
            return ()  # by far most runs, and each node asks for each of its links
        ends = (min(one, other), max(one, other))
        if ends not in self._spans:
            faults: list[Outage | Absence | Freeze] = [o for o in self._outages if o.cuts(*ends)]
            faults += [absence for absence in self._absences if absence.node in ends]
            self._spans[ends] = _merged((f.start_seconds, f.end_seconds) for f in faults)
        return self._spans[ends]

    def is_present(self, node: int, at_seconds: float) -> bool:
        """Whether a node is not away at a time."""
        return not any(
            absence.node == node and absence.start_seconds <= at_seconds < absence.end_seconds
            for absence in self._absences
        )

    def changes(self) -> list[Change]:
        """Return all that goes and comes back, in the order of time, nodes before links.

        Links are those of the topology, and those that outages name.
        """
        found: list[Change] = []
        for absence in self._absences:
            found.append(Change(at_seconds=absence.start_seconds, up=False, node=absence.node))
            found.append(Change(at_seconds=absence.end_seconds, up=True, node=absence.node))
        for ends in self._links():
            for start, end in self.of(*ends):
                found.append(Change(at_seconds=start, up=False, link=ends))
                found.append(Change(at_seconds=end, up=True, link=ends))
        return sorted(found, key=_order)

    def _links(self) -> list[tuple[int, int]]:
        """Return the links that are known, smaller node first."""
        named = {(min(ends), max(ends)) for outage in self._outages for ends in outage.links}
        topology = (self._neighbors or {}).items()
        there = {(node, peer) for node, peers in topology for peer in peers if node < peer}
        return sorted(named | there)


def check_link(
    field: str, neighbors: Mapping[int, frozenset[int]] | None, one: int, other: int
) -> None:
    """Raise `ConfigError` for a link that there is not, among such neighbors."""
    if neighbors is not None and other not in neighbors.get(one, frozenset()):
        raise ConfigError(f"{field}.links has [{one}, {other}]: the topology has no such link")


def _merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Join spans that overlap or touch."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def _order(change: Change) -> tuple[float, bool, int, tuple[int, int]]:
    """Sort by time, nodes before links, then by number."""
    node = -1 if change.node is None else change.node
    return (change.at_seconds, change.node is None, node, change.link or (-1, -1))
