"""The accounting rule: every local step is in the stream once, whatever happens to its copies.

A node keeps a total, `inflow`, of all it has for a stream: the weighted sum of the displacements
of its local steps, and, at a gateway between regions, what the other regions' streams deposited. A
stream remembers for each node only the *number* of the last visit in its own history. The node
remembers what `inflow` was at the visits that some copy may still refer to (`applied`). So a visit
adds `inflow - applied[number]`: exactly what this copy does not yet contain, be it the newest copy,
a re-issued old one, or one that took another way (DIGEST, arXiv 2307.07652, made exactly-once).

What a stream knows that it did not learn here, its model less `inflow`, is its *deposit*: a change
of it is what a gateway passes on to the other regions. As "regions - gateways" is a tree, nothing
comes back to where it came from.

A copy that is older than the history still held gives the work up, and says how many steps that
may be, rather than count it twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from flwr_digest.core.cargo import Cargo
from flwr_digest.core.ids import NO_FENCE, Fence, NodeId
from flwr_digest.core.stream import Stream, Visit
from flwr_digest.core.vector import Vector

VISITS_TO_REBASE = 64
"""Visits after which what all entries have in common is taken off: often enough for float32, where
a sum of so many displacements loses no more than one does; seldom enough to cost nothing."""

LEAST_HISTORY = 16
"""Visits that may be remembered however few members there are: a guess, see `most_history`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """What a node had given a stream in total at one visit.

    `inflow` is the account's of then, less what rounding left out of a rate: the copy has not got
    that, so the next visit brings it.

    `previous` is the number of the visit before in the history of the copy that came then. Copies
    that were re-issued have different histories, and hops tell early from late only within one.

    `own` is what of `inflow` came of the node's own steps; None where all did.
    """

    fence: Fence
    hop: int
    steps: int
    entries: int
    inflow: Cargo
    previous: int
    own: Cargo | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """What one node has given to one stream. Never changed: each entry makes a new account.

    Attributes
    ----------
    life : int
        Tells this account from any other that the node has opened: a later one has a higher life.
        Above 0.
    inflow : Cargo
        All that there is to give, shape ``[d]``, up to a constant: only differences between
        `inflow` and `applied` matter, so what is no longer needed of it is taken off both, and
        rounding does not grow with the length of the run.
    steps : int
        How many local steps of this life are in `inflow`.
    entries : int
        How often something was added to `inflow`: equal counts mean equal inflow.
    applied : mapping of int to Applied
        By visit number: `inflow` as it was then. Holds what surviving copies may refer to.
    deposit : Cargo or None
        At a gateway: what the stream knew after its last visit less `inflow`. None where that was
        lost with an earlier life: then only what the stream learns from now on is passed on.
    own : Cargo or None
        At a gateway: what of `inflow` came of the node's own steps, the model part of it. None
        where all did. When regions are drawn anew, each node brings its own and nobody else's.
    """

    life: int
    inflow: Cargo
    steps: int
    entries: int
    applied: Mapping[int, Applied]
    deposit: Cargo | None
    own: Cargo | None = None

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


def open_account(initial: Cargo, life: int) -> Account:
    """Return the account of a node that has given nothing yet; streams begin as `initial`."""
    first = Applied(fence=NO_FENCE, hop=0, steps=0, entries=0, inflow=initial.empty(), previous=0)
    return Account(
        life=life, inflow=first.inflow, steps=0, entries=0, applied={0: first}, deposit=initial
    )


def contribute(account: Account, cargo: Cargo, steps: int, weight: float = 1.0) -> Account:
    """Add `weight` times `cargo`, in it `steps` local steps; the stream's next visit takes it."""
    own = account.own
    return replace(
        account,
        inflow=account.inflow.plus(cargo, weight),
        steps=account.steps + steps,
        entries=account.entries + 1,
        own=None if own is None else own.plus(Cargo(model=cargo.model), weight),
    )


def pass_on(account: Account, change: Cargo) -> Account:
    """Add what other regions have learned: it reaches the stream, too, but is not the node's."""
    own = account.own or Cargo(model=account.inflow.model)
    return replace(account, inflow=account.inflow + change, entries=account.entries + 1, own=own)


def own_part(entry: Account | Applied) -> Vector:
    """Return what of an inflow came of the node's own steps, shape ``[d]``, up to a constant."""
    return entry.inflow.model if entry.own is None else entry.own.model


def holds(account: Account, stream: Stream, node: NodeId) -> bool:
    """Return whether it can still be told what the copy holds of this account."""
    return _what_it_holds(account, stream.last_visit(node)) is not None


def has_news(account: Account, stream: Stream, node: NodeId) -> bool:
    """Return whether a visit would change the copy's cargo, or give something up."""
    known = _what_it_holds(account, stream.last_visit(node))
    return known is None or known.entries != account.entries


def settle(account: Account, stream: Stream, node: NodeId, members: Iterable[NodeId]) -> Settlement:
    """Carry out a visit of `stream` to `node`: the stream takes in what it does not yet hold.

    Returns
    -------
    Settlement
        The new account and the stream one hop on. The node's model becomes the stream's.
    """
    last = stream.last_visit(node)
    known = _what_it_holds(account, last)
    news = known is None or known.entries != account.entries
    cargo, given = stream.cargo, account.inflow
    base = known or _next_after(account, last)
    if base is not None:
        cargo, given = _taken_in(account, cargo, base) if news else (cargo, base.inflow)
    hop, number = stream.hop + 1, max(account.latest, last.number) + 1
    entry = Applied(
        fence=stream.fence,
        hop=hop,
        steps=account.steps,
        entries=account.entries,
        inflow=given,
        previous=last.number if last.life == account.life else 0,
        own=account.own,
    )
    visit = Visit(life=account.life, number=number, hop=hop, steps=account.steps)
    visits = {**stream.visits, node: visit}
    stream = replace(
        stream,
        model=cargo.model,
        rate=cargo.rate,
        hop=hop,
        visits=visits,
        changes=stream.changes + news,
    )
    applied = prune({**account.applied, number: entry}, stream, node, members)
    settled = replace(account, applied=applied)
    due = number % VISITS_TO_REBASE == 0 and 0 not in applied
    return Settlement(
        account=_without_common_part(settled) if due else settled,
        stream=stream,
        news=news,
        forfeited_steps=0 if known is not None else _given_up(account, last, base),
    )


def deposit(account: Account, stream: Stream) -> tuple[Account, Cargo | None]:
    """Note what a stream knows, after its visit; return how far that has changed, if known."""
    now = stream.cargo - account.applied[account.latest].inflow
    change = None if account.deposit is None else now - account.deposit
    return replace(account, deposit=now), change


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


def _taken_in(account: Account, cargo: Cargo, known: Applied) -> tuple[Cargo, Cargo]:
    """Return a copy's cargo with what it does not hold yet, and all that it then has got."""
    whole = cargo.with_change(known.inflow, account.inflow)
    cargo, given = whole.rounded(), account.inflow
    if whole.rate is not None and cargo.rate is not None and given.rate is not None:
        given = replace(given, rate=given.rate - (whole.rate - cargo.rate))
    return cargo, given


def _next_after(account: Account, last: Visit) -> Applied | None:
    """Return what a copy of an earlier epoch holds at least, and at most that much more.

    There a visit says only how many steps it has left in the copy. Where just that number is no
    longer remembered, only the steps up to the next one that is have to be given up.
    """
    if last.life != account.life or last.hop > 0 or last.number == 0:
        return None
    own = (entry for entry in account.applied.values() if entry.own is None)
    later = [entry for entry in own if entry.steps >= last.steps]
    return min(later, key=lambda entry: entry.steps, default=None)


def _given_up(account: Account, last: Visit, base: Applied | None) -> int:
    """Return how many steps a visit gives up at most."""
    held = last.steps if last.life == account.life else 0
    if base is not None:
        return base.steps - held
    return max(account.steps - held, account.unshared_steps)


def _without_common_part(account: Account) -> Account:
    """Take off what the oldest entry has in common with all later ones, and with `inflow`."""
    oldest = account.applied[min(account.applied)]
    common, own = oldest.inflow, Cargo(model=own_part(oldest))
    applied = {
        n: replace(e, inflow=e.inflow - common, own=None if e.own is None else e.own - own)
        for n, e in account.applied.items()
    }
    return replace(
        account,
        inflow=account.inflow - common,
        applied=applied,
        deposit=None if account.deposit is None else account.deposit + common,
        own=None if account.own is None else account.own - own,
    )


def prune(
    applied: Mapping[int, Applied], stream: Stream, node: NodeId, members: Iterable[NodeId]
) -> dict[int, Applied]:
    """Forget what no surviving copy can ask for, after a visit of `stream` to `node`.

    Each member keeps the copy that it was last visited by, so no copy in this stream's history is
    older than the *watermark*, the oldest of those hops: what lies before it can go. A member
    that was never visited may keep any copy that there was before, of an earlier epoch, too. One
    that stays away holds the watermark back; so that the history stays bounded all the same, past
    `most_history` only those entries are kept that a member's copy refers to, and of each fence
    the last: copies that others re-issued go on from there.
    """
    visits = stream.visits
    hops = [visits[member].hop if member in visits else 0 for member in members]
    watermark = min(hops)
    chain = _chain(applied, stream.last_visit(node).number)
    base = next((n for n in chain if 0 < applied[n].hop <= watermark), min(applied))
    kept = {n: entry for n, entry in applied.items() if n >= base}
    most = most_history(len(hops))
    if len(kept) <= most:
        return kept
    needed = {_last_before(applied, chain, hop) for hop in hops} | {chain[0]}
    of_fences = {entry.fence: n for n, entry in sorted(kept.items())}
    others = sorted(set(of_fences.values()) - needed, reverse=True)
    needed |= set(others[: max(0, most - len(needed))])
    # The history goes on over the gaps: without that, the next visit would not find what is old.
    return {n: replace(kept[n], previous=_ancestor(applied, n, needed)) for n in sorted(needed)}


def most_history(members: int) -> int:
    """Return how many visits a node remembers at most, with so many members."""
    return max(2 * members, LEAST_HISTORY)


def _chain(applied: Mapping[int, Applied], number: int) -> list[int]:
    """Return the visits in the history of the copy whose last visit here was `number`."""
    chain = [number]
    while chain[-1] != 0 and (previous := applied[chain[-1]].previous) in applied:
        chain.append(previous)
    return chain


def _ancestor(applied: Mapping[int, Applied], number: int, among: set[int]) -> int:
    """Return the nearest earlier visit in that one's history that is among some."""
    return next((n for n in _chain(applied, number)[1:] if n in among), applied[number].previous)


def _last_before(applied: Mapping[int, Applied], chain: list[int], hop: int) -> int:
    """Return the last visit of a chain that was made at `hop` or before, or else its first."""
    return next((number for number in chain if applied[number].hop <= hop), chain[-1])
