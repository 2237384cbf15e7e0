"""A new epoch: the nodes' streams are cut anew, and no step is counted twice or lost by that.

Every copy of a stream says how many local steps of each node it contains; between regions, too, as
gateways pass that on with the work itself. So whatever a copy was before, it can be the beginning
of a stream with other members: a visit brings what the copy lacks of the node's own steps. Of its
history a node keeps only that: what its own steps came to, by their number. What gateways have
passed on is in the copy, or its nodes bring it themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from flwr_digest.core.account import Account, Applied, own_part
from flwr_digest.core.cargo import Cargo
from flwr_digest.core.ids import NO_FENCE, NodeId, StreamId
from flwr_digest.core.state import StationState
from flwr_digest.core.stream import NEVER, Stream, Tour, Visit, told_by_steps
from flwr_digest.core.vector import Vector


class Told(NamedTuple):
    """How many local steps of which life of a node a model contains."""

    life: int
    steps: int


Contents = Mapping[NodeId, Told]
"""What a model of one shard contains of each node; equal contents make equal models.

(But for steps that were given up: they count as contained, as nobody will bring them again.)
"""


def contents_of(stream: Stream) -> dict[NodeId, Told]:
    """Return what a copy contains of each node that it contains anything of."""
    visits = sorted(stream.visits.items())
    return {node: Told(visit.life, visit.steps) for node, visit in visits if visit.steps}


def fullest(states: Mapping[StreamId, StationState]) -> Stream:
    """Return the copy that contains most local steps, of all that a node keeps of one shard."""
    copies = [states[stream_id].kept for stream_id in sorted(states)]
    return max(copies, key=lambda copy: (_steps_in(copy), copy.order))


def carried_over(
    states: Mapping[StreamId, StationState], stream_id: StreamId, node: NodeId
) -> StationState:
    """Return the state with which a node enters a new epoch, of a stream of the same shard.

    Parameters
    ----------
    states : mapping of StreamId to StationState
        What the node has kept of that shard: one state, at a gateway several.
    stream_id : StreamId
        The stream that visits it from now on. Its copy here is the fullest that the node has kept.
    node : NodeId
        Whose states these are.
    """
    best = fullest(states)
    visits = {n: told_by_steps(visit) for n, visit in best.visits.items()}
    kept = replace(best, stream_id=stream_id, rate=None, visits=visits, tour=Tour(), closing=False)
    account = _by_steps([states[each].account for each in sorted(states)])
    given = _given(account, visits.get(node, NEVER))
    # What the copy knows of others: a gateway passes on to other regions what comes on top.
    known = None if given is None else Cargo(model=kept.model - given)
    highest = max(state.highest for state in states.values())
    return StationState(account=replace(account, deposit=known), kept=kept, highest=highest)


def _by_steps(accounts: list[Account]) -> Account:
    """Return an account of the node's own steps alone, with a history by their number.

    The accounts are those of one shard: they differ in what was passed on to them, and by constants
    that were taken off (see `Account.inflow`), but not in the node's own steps.
    """
    one = accounts[0]
    own = own_part(one)
    totals: dict[int, Vector] = {}
    for account in accounts:
        shift = own - own_part(account)
        for entry in account.applied.values():
            totals.setdefault(entry.steps, own_part(entry) + shift)
    applied: dict[int, Applied] = {}
    for steps in sorted(totals):
        applied[steps] = Applied(
            fence=NO_FENCE,
            hop=0,
            steps=steps,
            entries=steps,
            inflow=Cargo(model=totals[steps]),
            previous=max(applied, default=0),
        )
    return Account(
        life=one.life,
        inflow=Cargo(model=own),
        steps=one.steps,
        entries=one.steps,
        applied=applied,
        deposit=None,
    )


def _given(account: Account, last: Visit) -> Vector | None:
    """Return what a copy contains of the node's own steps; None where that is not known."""
    if last.life > account.life:
        return None
    entry = account.applied.get(last.steps if last.life == account.life else 0)
    return None if entry is None else entry.inflow.model


def _steps_in(stream: Stream) -> int:
    return sum(visit.steps for visit in stream.visits.values())
