"""What goes wrong in a scenario, and when: links that are down, nodes that are away."""

from __future__ import annotations

from dataclasses import dataclass

from flwr_digest.errors import ConfigError
from flwr_digest.learning.checks import Range, check_number, check_numbers, check_switch

_NODE = Range(whole=True, least=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outage:
    """Links that are down for a while. A message that is under way on one meanwhile is lost.

    Attributes
    ----------
    start_seconds, end_seconds : float
        From when to when, in simulated seconds; the end is up again.
    links : tuple of (int, int)
        These links, in both directions.
    nodes : tuple of int
        Instead of `links`: all links between these nodes and the others (the network is parted in
        two).

    Raises
    ------
    ConfigError
        A time is not allowed, or not exactly one of `links` and `nodes` is given.
    """

    start_seconds: float
    end_seconds: float
    links: tuple[tuple[int, int], ...] = ()
    nodes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check every field."""
        _check_times("outages", self.start_seconds, self.end_seconds)
        if bool(self.links) == bool(self.nodes):
            raise ConfigError("outages: each must have either links or nodes")
        if self.nodes:
            check_numbers("outages.nodes", self.nodes, _NODE)
        if self.links:
            _check_links(self.links)

    def cuts(self, one: int, other: int) -> bool:
        """Whether the link between two nodes is down meanwhile."""
        if self.nodes:
            return (one in self.nodes) != (other in self.nodes)
        return (one, other) in self.links or (other, one) in self.links


@dataclass(frozen=True, kw_only=True, slots=True)
class Absence:
    """A node that is away for a while: it does not train, and all its links are down.

    Attributes
    ----------
    node : int
        Which node.
    start_seconds, end_seconds : float
        From when to when, in simulated seconds; at the end it is back.
    with_state : bool
        Whether it comes back with its model and accounts, or as new. True: as a restart with its
        files.

    Raises
    ------
    ConfigError
        A time or the node is not allowed.
    """

    node: int
    start_seconds: float
    end_seconds: float
    with_state: bool = True

    def __post_init__(self) -> None:
        """Check every field."""
        check_number("absences.node", self.node, _NODE)
        _check_times("absences", self.start_seconds, self.end_seconds)
        check_switch("absences.with_state", self.with_state)


def _check_times(field: str, start_seconds: float, end_seconds: float) -> None:
    """Check that a time span is one."""
    check_number(f"{field}.start_seconds", start_seconds, Range(least=0))
    check_number(f"{field}.end_seconds", end_seconds, Range(above=start_seconds))


def _check_links(links: object) -> None:
    """Check that these are links: two different nodes each."""
    if not isinstance(links, tuple) or not all(isinstance(ends, tuple) for ends in links):
        raise ConfigError(f"outages.links is {links!r}: it must be pairs of nodes, as in [[0, 1]]")
    for ends in links:
        check_numbers("outages.links", ends, _NODE)
        if len(ends) != 2 or ends[0] == ends[1]:
            raise ConfigError(f"outages.links has {list(ends)}: it must be two different nodes")
