"""What can go wrong, as data: the same words for the simulator, for processes and under Flower.

Times are in seconds after the session has begun, by whatever clock the carrier-out has.
"""

from __future__ import annotations

from dataclasses import dataclass

Link = tuple[int, int]
"""Two neighbors, the smaller number first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kill:
    """A node's process ends without a word (SIGKILL)."""

    at: float
    node: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Restart:
    """A killed node comes back into the session, from its state file or with nothing."""

    at: float
    node: int
    with_state: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Freeze:
    """A node's process stands still for a while (SIGSTOP, SIGCONT); its connections stay."""

    at: float
    node: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Slow:
    """A node's local steps take `factor` times as long for a while."""

    at: float
    node: int
    factor: float
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """A link is down for a while: what is on its way is lost."""

    at: float
    link: Link
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """All links between these nodes and the others are down for a while."""

    at: float
    nodes: frozenset[int]
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Lose:
    """A link loses this share of its messages for a while."""

    at: float
    link: Link
    share: float
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Join:
    """A node of the plan that was not there from the start comes in."""

    at: float
    node: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Leave:
    """A node ends its training early, says goodbye and is gone for good."""

    at: float
    node: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FillDisk:
    """A node's disk is full for a while: no state can be written."""

    at: float
    node: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class KillServerApp:
    """The ServerApp's process ends without a word."""

    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class KillSuperLink:
    """The SuperLink's process ends without a word, and the ServerApp with it."""

    at: float


Fault = (
    Kill | Restart | Freeze | Slow | Cut | Part | Lose | Join | Leave | FillDisk
    | KillServerApp | KillSuperLink
)  # fmt: skip
Schedule = tuple[Fault, ...]
"""Faults in the order of their times."""
