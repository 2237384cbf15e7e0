"""Fetches the model that the streams carry, when someone wants it."""

from __future__ import annotations

from logging import ERROR

from flwr.app import ArrayRecord
from flwr.common.logger import log

from flwr_digest.core.plan import Key, Phase
from flwr_digest.strategies.desk import Desk
from flwr_digest.strategies.planning import freshest
from flwr_digest.strategies.roster import Roster


def collect(desk: Desk, roster: Roster, seed: int) -> ArrayRecord | None:
    """Return the streams' model, all shards of it, from one node that keeps the newest copies.

    All nodes of a session that has closed keep the same. Of one that was cut off, a node sends what
    it has: copies of different streams are then of different ages. None where no node answers.
    """
    keepers = dict(roster.ready)
    while keepers:
        node = freshest(keepers, seed)
        replies = desk.ask([desk.message(node, {Key.PHASE: Phase.COLLECT})])
        for content in replies.content.values():
            desk.count_on_request(content)
            return content.array_records[desk.arrays_key]
        log(ERROR, "\t> node %d did not send the streams' model: %s", node, replies.failed[node])
        del keepers[node]
    return None
