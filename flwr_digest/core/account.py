"""The accounting rule: every local step is in the stream once, whatever happens to its copies.

A node keeps its own total, `own`: the weighted sum of the displacements of all its local steps. A
stream remembers for each node only the *number* of the last visit in its own history. The node
remembers what `own` was at the visits that some copy may still refer to (`applied`). So a visit
adds `own - applied[number]`: exactly what this copy does not yet contain, be it the newest copy, a
re-issued old one, or one that took another way (DIGEST, arXiv 2307.07652, made exactly-once).

A copy that is older than the history still held gives the work up, and says how many steps that
may be, rather than count it twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from flwr_digest.core.ids import NodeId
from flwr_digest.core.stream import NEVER, Stream, Visit
from flwr_digest.core.vector import Vector


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """What a node had given a stream in total at one visit."""

    hop: int
    steps: int
    own: Vector


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """What one node has given to one stream. Never changed: each step makes a new account.

    Attributes
    ----------
    life : int
        Tells this account from any other that the node has opened before it lost its state: a
        visit noted under another life says nothing about this account.
    own : Vector
        Weighted sum of the displacements of all local steps so far, shape ``[d]``.
    steps : int
        How many local steps `own` contains.
    applied : mapping of int to Applied
        By visit number: `own` as it was then. Holds what surviving copies may refer to.
    """

    life: int
    own: Vector
    steps: int
    applied: Mapping[int, Applied]

    @property
    def latest(self) -> int:
        """The number of the latest visit."""
        return max(self.applied)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """What a visit made of the account and the stream.

    `news` says whether the stream took in anything or gave it up; `forfeited_steps` bounds from
    above how many local steps were given up (normally 0).
    """

    account: Account
    stream: Stream
    news: bool
    forfeited_steps: int


def open_account(like: Vector, life: int) -> Account:
    """Return the account of a node that has given nothing yet; `like` gives shape and dtype."""
    nothing = np.zeros_like(like)
    return Account(
        life=life, own=nothing, steps=0, applied={0: Applied(hop=0, steps=0, own=nothing)}
    )


def contribute(account: Account, displacement: Vector, steps: int, weight: float) -> Account:
    """Add the displacement of `steps` local steps; it reaches the stream at its next visit."""
    own = account.own + np.asarray(weight, dtype=account.own.dtype) * displacement
    return replace(account, own=own, steps=account.steps + steps)


def settle(account: Account, stream: Stream, node: NodeId, members: Iterable[NodeId]) -> Settlement:
    """Carry out a visit of `stream` to `node`: the stream takes in what it does not yet hold.

    Returns
    -------
    Settlement
        The new account and the stream one hop on. The node's model becomes the stream's.
    """
    last = stream.last_visit(node)
    last = last if last.life == account.life else NEVER
    known = account.applied.get(last.number)
    model = stream.model if known is None else stream.model + (account.own - known.own)
    forfeited = account.steps - last.steps if known is None else 0
    hop, number = stream.hop + 1, account.latest + 1
    visit = Visit(life=account.life, number=number, hop=hop, steps=account.steps)
    stream = replace(stream, model=model, hop=hop, visits={**stream.visits, node: visit})
    entry = Applied(hop=hop, steps=account.steps, own=account.own)
    applied = prune({**account.applied, number: entry}, stream, members)
    return Settlement(
        account=replace(account, applied=applied),
        stream=stream,
        news=known is None or known.steps != account.steps,
        forfeited_steps=forfeited,
    )


def prune(
    applied: Mapping[int, Applied], stream: Stream, members: Iterable[NodeId]
) -> dict[int, Applied]:
    """Forget what no surviving copy can ask for.

    Each member keeps the copy that it was last visited by, so no copy in this stream's history is
    older than the *watermark*, the oldest of those hops: what lies before it can go. A member
    that stays away holds the watermark back; so that the history stays bounded all the same, past
    twice the number of members only those entries are kept that a member's copy refers to.
    """
    hops = [stream.last_visit(member).hop for member in members]
    base = max((n for n, entry in applied.items() if entry.hop <= min(hops)), default=0)
    kept = {n: entry for n, entry in applied.items() if n >= base}
    if len(kept) <= 2 * len(hops):
        return kept
    needed = {max(kept)}
    for hop in hops:
        needed.add(max((n for n, entry in kept.items() if entry.hop <= hop), default=min(kept)))
    return {n: kept[n] for n in sorted(needed)}
