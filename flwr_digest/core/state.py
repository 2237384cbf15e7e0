"""What a node keeps of one stream: across sessions, and of the session that runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flwr_digest.core.account import Account, open_account
from flwr_digest.core.cargo import Cargo
from flwr_digest.core.ids import Fence, StreamId
from flwr_digest.core.stream import Stream
from flwr_digest.core.vector import Vector
from flwr_digest.errors import LocalProtocolError


@dataclass(frozen=True, kw_only=True, slots=True)
class StationState:
    """What outlives a session, and a restart: the account, and the last copy of the stream here.

    `highest` is the highest fence seen; a copy below it is dead. Whoever may crash and come back
    with a saved state saves it before the effects that came with it are carried out; one that
    comes back with an older state must open a new account (see `reopened`), or it gives work up.
    `rate` is the node's own gradient rate that is in the account; None where there is none.
    """

    account: Account
    kept: Stream
    highest: Fence
    rate: Vector | None = None

    def __post_init__(self) -> None:
        if self.highest < self.kept.fence:
            raise LocalProtocolError(
                f"highest fence {self.highest} is below the kept copy's {self.kept.fence}"
            )


def first_state(stream_id: StreamId, initial: Vector, life: int) -> StationState:
    """Return the state before the first visit: every node keeps a copy of the initial model.

    `life` is a number that this node has never used for an account before (random, say).
    """
    kept = Stream(stream_id=stream_id, model=initial)
    return StationState(account=open_account(kept.cargo, life), kept=kept, highest=kept.fence)


def reopened(state: StationState, life: int) -> StationState:
    """Return the state of a node that has lost track of what it gave since: a new account.

    What it had given stays in the stream; what it had not yet given is lost, and so is, at a
    gateway, what it had yet to pass on. `life` must be above all that this node has used.
    """
    account = open_account(state.kept.cargo, life)
    return replace(state, account=replace(account, deposit=None), rate=None)


def for_new_session(state: StationState, *, drift_correction: bool) -> StationState:
    """Return the state with which a node enters a new session: its rates are measured anew.

    All nodes do so, hence all accounts go on fitting all copies; and the rates of nodes that have
    left for good do not stay in the mean for ever.
    """
    kept, account = state.kept, state.account

    def anew(cargo: Cargo) -> Cargo:
        rate = cargo.model - cargo.model if drift_correction else None
        return Cargo(model=cargo.model, rate=rate)

    applied = {n: replace(e, inflow=anew(e.inflow)) for n, e in account.applied.items()}
    return replace(
        state,
        rate=None,
        kept=kept.with_cargo(anew(kept.cargo)),
        account=replace(
            account,
            inflow=anew(account.inflow),
            applied=applied,
            deposit=None if account.deposit is None else anew(account.deposit),
        ),
    )


@dataclass(kw_only=True, slots=True)
class Counters:
    """What happened to one stream at one node in this session.

    `longest_silence_seconds` is the longest time that the stream was away from a member, from its
    leaving, or from the start of the session, to its coming; `longest_silence_tours` the most of
    its tours, as measured until then, that it was away for.
    """

    visits: int = 0
    hops_sent: int = 0
    stale_drops: int = 0
    resends: int = 0
    reroutes: int = 0
    reissues: int = 0
    replacements: int = 0
    lost_deposits: int = 0
    forfeited_steps: int = 0
    longest_silence_seconds: float = 0.0
    longest_silence_tours: float = 0.0
