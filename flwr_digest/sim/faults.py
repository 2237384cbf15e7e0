"""What goes wrong in a scenario, and when: links that are down or lose, nodes away, frozen or slow.

Times are simulated seconds; at its end a fault is over.
"""

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
            _check_links("outages", self.links)

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
    killed : bool
        Whether it goes without a word, as by a power cut: what it has learned since the last visits
        is lost, also where it keeps its state. False: it has saved all by then.

    Raises
    ------
    ConfigError
        A time or the node is not allowed.
    """

    node: int
    start_seconds: float
    end_seconds: float
    with_state: bool = True
    killed: bool = False

    def __post_init__(self) -> None:
        """Check every field."""
        check_number("absences.node", self.node, _NODE)
        _check_times("absences", self.start_seconds, self.end_seconds)
        check_switch("absences.with_state", self.with_state)
        check_switch("absences.killed", self.killed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Freeze:
    """A node that stands still for a while: it does not train, and answers nothing.

    Its links stay up, so the others see no more of it than that it is silent. Messages wait for it.

    Attributes
    ----------
    node : int
        Which node.
    start_seconds, end_seconds : float
        From when to when, in simulated seconds; at the end it goes on where it was.

    Raises
    ------
    ConfigError
        A time or the node is not allowed.
    """

    node: int
    start_seconds: float
    end_seconds: float

    def __post_init__(self) -> None:
        """Check every field."""
        check_number("freezes.node", self.node, _NODE)
        _check_times("freezes", self.start_seconds, self.end_seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Slowdown:
    """A node whose local steps take longer for a while; its links are as fast as ever.

    Attributes
    ----------
    node : int
        Which node.
    start_seconds, end_seconds : float
        From when to when, in simulated seconds.
    factor : float
        How many times as long a local step takes, 1 or more.

    Raises
    ------
    ConfigError
        A time, the node or the factor is not allowed.
    """

    node: int
    start_seconds: float
    end_seconds: float
    factor: float

    def __post_init__(self) -> None:
        """Check every field."""
        check_number("slowdowns.node", self.node, _NODE)
        _check_times("slowdowns", self.start_seconds, self.end_seconds)
        check_number("slowdowns.factor", self.factor, Range(least=1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """Links that lose more messages than others for a while.

    Attributes
    ----------
    start_seconds, end_seconds : float
        From when to when a message must be put on the link, in simulated seconds.
    links : tuple of (int, int)
        These links, in both directions.
    share : float
        How likely it is that a message gets lost, beside the scenario's `loss`; from 0 to below 1.

    Raises
    ------
    ConfigError
        A time, a link or the share is not allowed.
    """

    start_seconds: float
    end_seconds: float
    links: tuple[tuple[int, int], ...]
    share: float

    def __post_init__(self) -> None:
        """Check every field."""
        _check_times("losses", self.start_seconds, self.end_seconds)
        _check_links("losses", self.links)
        check_number("losses.share", self.share, Range(least=0, below=1))

    def befalls(self, one: int, other: int) -> bool:
        """Whether it is the link between two nodes that loses messages."""
        return (one, other) in self.links or (other, one) in self.links


def _check_times(field: str, start_seconds: float, end_seconds: float) -> None:
    """Check that a time span is one."""
    check_number(f"{field}.start_seconds", start_seconds, Range(least=0))
    check_number(f"{field}.end_seconds", end_seconds, Range(above=start_seconds))


def _check_links(field: str, links: object) -> None:
    """Check that these are links: two different nodes each."""
    field = f"{field}.links"
    if not isinstance(links, tuple) or not all(isinstance(ends, tuple) for ends in links):
        raise ConfigError(f"{field} is {links!r}: it must be pairs of nodes, as in [[0, 1]]")
    for ends in links:
        check_numbers(field, ends, _NODE)
        if len(ends) != 2 or ends[0] == ends[1]:
            raise ConfigError(f"{field} has {list(ends)}: it must be two different nodes")
