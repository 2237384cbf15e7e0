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
from flwr_digest.core.stream import Stream, Visit
from flwr_digest.core.vector import Vector

LEAST_HISTORY = 16
"""Visits that may be remembered however few members there are: a guess, see `most_history`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """What a node had given a stream in total at one visit.

    `previous` is the number of the visit before in the history of the copy that came then. Copies
    that were re-issued have different histories, and hops tell early from late only within one.
    """

    hop: int
    steps: int
    own: Vector
    previous: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """What one node has given to one stream. Never changed: each step makes a new account.

    Attributes
    ----------
    life : int
        Tells this account from any other that the node has opened: a later one has a higher life.
        Above 0.
    own : Vector
        Weighted sum of the displacements of all local steps, shape ``[d]``, up to a constant:
        only differences between `own` and `applied` matter, so what is no longer needed of it is
        taken off both, and rounding does not grow with the length of the run.
    steps : int
        How many local steps were made in this life.
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

    @property
    def unshared_steps(self) -> int:
        """How many local steps no visit has taken up yet."""
        return self.steps - self.applied[self.latest].steps


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
    first = Applied(hop=0, steps=0, own=nothing, previous=0)
    return Account(life=life, own=nothing, steps=0, applied={0: first})


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
    known = _what_it_holds(account, last)
    model = stream.model if known is None else stream.model + (account.own - known.own)
    hop, number = stream.hop + 1, max(account.latest, last.number) + 1
    entry = Applied(
        hop=hop,
        steps=account.steps,
        own=account.own,
        previous=last.number if last.life == account.life else 0,
    )
    visit = Visit(life=account.life, number=number, hop=hop, steps=account.steps)
    stream = replace(stream, model=model, hop=hop, visits={**stream.visits, node: visit})
    applied = prune({**account.applied, number: entry}, stream, node, members)
    settled = replace(account, applied=applied)
    return Settlement(
        account=settled if 0 in applied else _without_common_part(settled),
        stream=stream,
        news=known is None or known.steps != account.steps,
        forfeited_steps=0 if known is not None else _given_up(account, last),
    )


def _what_it_holds(account: Account, last: Visit) -> Applied | None:
    """Return what a copy holds of this account's work; None where that cannot be told any more."""
    if last.life < account.life:  # the copy was here before this account was opened, or never
        return account.applied.get(0)
    if last.life > account.life:  # this account is an old one that was put back
        return None
    known = account.applied.get(last.number)
    if known is None or (known.hop, known.steps) != (last.hop, last.steps):
        return None  # pruned, or of a state that was put back
    return known


def _given_up(account: Account, last: Visit) -> int:
    """Return how many steps a visit gives up at most."""
    held = last.steps if last.life == account.life else 0
    return max(account.steps - held, account.unshared_steps)


def _without_common_part(account: Account) -> Account:
    """Take off what the oldest entry has in common with all later ones, and with `own`."""
    common = account.applied[min(account.applied)].own
    applied = {n: replace(e, own=e.own - common) for n, e in account.applied.items()}
    return replace(account, own=account.own - common, applied=applied)


def prune(
    applied: Mapping[int, Applied], stream: Stream, node: NodeId, members: Iterable[NodeId]
) -> dict[int, Applied]:
    """Forget what no surviving copy can ask for, after a visit of `stream` to `node`.

    Each member keeps the copy that it was last visited by, so no copy in this stream's history is
    older than the *watermark*, the oldest of those hops: what lies before it can go. A member
    that stays away holds the watermark back; so that the history stays bounded all the same, past
    `most_history` only those entries are kept that a member's copy refers to.
    """
    hops = [stream.last_visit(member).hop for member in members]
    chain = _chain(applied, stream.last_visit(node).number)
    base = next((n for n in chain if applied[n].hop <= min(hops)), min(applied))
    kept = {n: entry for n, entry in applied.items() if n >= base}
    if len(kept) <= most_history(len(hops)):
        return kept
    needed = sorted({_last_before(applied, chain, hop) for hop in hops} | {chain[0]})
    # The history goes on over the gaps: without that, the next visit would not find what is old.
    previous = [kept[needed[0]].previous, *needed]
    return {n: replace(kept[n], previous=p) for n, p in zip(needed, previous, strict=False)}


def most_history(members: int) -> int:
    """Return how many visits a node remembers at most, with so many members."""
    return max(2 * members, LEAST_HISTORY)


def _chain(applied: Mapping[int, Applied], number: int) -> list[int]:
    """Return the visits in the history of the copy whose last visit here was `number`."""
    chain = [number]
    while chain[-1] != 0 and (previous := applied[chain[-1]].previous) in applied:
        chain.append(previous)
    return chain


def _last_before(applied: Mapping[int, Applied], chain: list[int], hop: int) -> int:
    """Return the last visit of a chain that was made at `hop` or before, or else its first."""
    return next((number for number in chain if applied[number].hop <= hop), chain[-1])
