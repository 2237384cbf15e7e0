"""What a process has known and when, line by line, on disk before anyone else can hear of it.

All clocks are the machine's own (`time.monotonic`), which its processes share.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flwr_digest.core.ids import Fence, NodeId, Order, StreamId
from flwr_digest.core.stream import Stream, Visit


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What went wrong with all streams at one process so far."""

    reissues: int = 0
    reroutes: int = 0
    resends: int = 0
    stale_drops: int = 0
    forfeited_steps: int = 0
    lost_deposits: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """A process has begun: with which accounts, and how many steps that of each shard knows.

    What was made between the last visits of two shards is lost to one of them with its process.
    """

    at: float
    node: int
    life: int
    known: list[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Linked:
    """The neighbors that a process has links to have changed."""

    at: float
    node: int
    peers: list[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """What a process keeps of a stream has changed, or whether it holds it.

    Attributes
    ----------
    at : float
        When, in seconds.
    node, life, made, known : int
        Whose line it is: the node, its account of the shard, how many local steps there are that
        can have come into that, and how many have.
    stream : int
        The stream.
    order : list of int
        Generation and node of the fence, and the hop.
    visits : list of list of int
        Node, life, number, hop and steps of each member's last visit.
    model : list of list
        Coordinates that are not 0, and their values.
    member, held, closed : bool
        Whether the node is a member; the stream is here; its session is over.
    to : int or None
        To whom it is on its way.
    counts : Counts
        What went wrong so far.
    """

    at: float
    node: int
    life: int
    made: int
    known: int
    stream: int
    order: list[int]
    visits: list[list[int]]
    model: list[list[float]]
    member: bool = True
    held: bool = False
    closed: bool = False
    to: int | None = None
    counts: Counts = field(default_factory=Counts)

    @property
    def rank(self) -> Order:
        """Where the copy stands among all others."""
        generation, node, hop = self.order
        return Order(Fence(generation, NodeId(node)), hop)

    @property
    def visited_at_hop(self) -> int:
        """The hop of the copy's last visit to the node whose line it is; 0 before the first."""
        return next((hop for node, _, _, hop, _ in self.visits if node == self.node), 0)

    def as_stream(self, size: int) -> Stream:
        """Return the copy, with `size` values."""
        values = np.zeros(size, dtype=np.float32)
        for at, value in self.model:
            values[int(at)] = value
        return Stream(
            stream_id=StreamId(self.stream),
            model=values,
            fence=self.rank.fence,
            hop=self.rank.hop,
            visits={
                NodeId(node): Visit(life=life, number=number, hop=hop, steps=steps)
                for node, life, number, hop, steps in self.visits
            },
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A process has left its session.

    Attributes
    ----------
    made : list of int
        By shard: how many local steps can have come into the account.
    left : bool
        Whether it left early, as it was told to.
    unshared : int
        Local steps that no stream has taken up.
    """

    at: float
    node: int
    life: int
    made: list[int]
    ending: str
    left: bool
    unshared: int


Line = Begun | Linked | Copy | Ended
_KINDS: dict[str, type[Line]] = {kind.__name__: kind for kind in (Begun, Linked, Copy, Ended)}


class Writer:
    """Writes the journal of one process; the kernel has a line before `write` returns."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, line: Line) -> None:
        """Write a line."""
        fields = asdict(line)
        os.write(self._fd, json.dumps([type(line).__name__, fields]).encode() + b"\n")


def now() -> float:
    """Return the time for a line."""
    return time.monotonic()


def parsed(text: bytes) -> Line:
    """Return the line that was written as `text`."""
    kind, fields = json.loads(text)
    if "counts" in fields:
        fields["counts"] = Counts(**fields["counts"])
    made: Any = _KINDS[kind](**fields)
    return made  # type: ignore[no-any-return]


def read_journal(path: Path) -> Iterator[Line]:
    """Yield the whole lines of a journal."""
    for text in path.read_bytes().split(b"\n")[:-1]:
        yield parsed(text)
