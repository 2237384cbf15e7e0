"""How far what a node's model contains of the others is behind what they have done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter

from flwr_digest.core.ids import NodeId
from flwr_digest.core.stream import NEVER, Visit
from flwr_digest.sim.digest.participant import Participant


def staleness_steps(participants: Sequence[Participant], now: float) -> float | None:
    """Return by how many local steps nodes are behind the others, mean over pairs and shards.

    Streams tell for each node how many of its steps they contain; what counts is the copy that a
    node was last visited by. Steps of an earlier life that were lost are nobody's debt.

    Returns
    -------
    float or None
        None for a single node, and where there are several regions: there streams do not say what
        they contain of nodes beyond their gateways.
    """
    count = len(participants)
    there = [each.core for each in participants if each.core is not None]
    if count < 2 or not there or there[0].config.regional:
        return None
    made = [each.steps_of_life(now) for each in participants]
    lives = [each.life for each in participants]
    all_made, some_lost = sum(made), max(lives) > 1  # once: each takes as long as there are nodes
    behind = copies = 0
    for core in there:
        me = core.config.node_id
        for station in core.stations.values():
            visits: Mapping[NodeId, Visit] = station.kept.visits
            if some_lost:
                visits = {node: v for node, v in visits.items() if v.life == lives[node]}
            behind += all_made - made[me] - _steps_of_others(visits, me)
            copies += 1
    return behind / (copies * (count - 1))


def _steps_of_others(visits: Mapping[NodeId, Visit], me: NodeId) -> int:
    """Return how many steps of other nodes a copy contains."""
    total: int = sum(map(attrgetter("steps"), visits.values()))
    return total - visits.get(me, NEVER).steps
