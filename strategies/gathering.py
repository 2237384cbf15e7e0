"""Who takes part in the next session: invitations, hellos, and what keeps a node out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from logging import ERROR

from flwr.app import ArrayRecord
from flwr.common.logger import log

from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import Hello, Key, Phase
from flwr_digest.errors import ConfigError
from flwr_digest.strategies.checks import check_hellos
from flwr_digest.strategies.desk import Desk
from flwr_digest.strategies.options import Options
from flwr_digest.strategies.replies import read_hellos
from flwr_digest.strategies.roster import Roster
from flwr_digest.strategies.weights import uncounted


def gather(
    desk: Desk,
    roster: Roster,
    nodes: Collection[NodeId],
    arrays: ArrayRecord,
    options: Options,
    *,
    least: int,
) -> dict[NodeId, Hello]:
    """Return the hellos of the nodes that can be in a session together.

    A node that is new is invited, and handed the initial model; the others have said hello with
    their last report.

    Parameters
    ----------
    desk, roster : Desk, Roster
        Of the run; the roster notes who has said hello.
    nodes : collection of NodeId
        Who should be in the session.
    arrays : ArrayRecord
        The initial model.
    options : Options
        What the session is to be like.
    least : int
        Fewer nodes than this make no session: `min_train_nodes`.

    Raises
    ------
    ConfigError
        Fewer can, with the reasons of those that cannot; or they cannot be in one session together.
    """
    failed = _invite(desk, roster, [node for node in nodes if node not in roster.ready], arrays,
                     options)  # fmt: skip
    if options.counts_examples:
        strangers = uncounted(roster.among(nodes))
        roster.send_back(strangers)
        failed |= strangers
    for node, why in failed.items():
        log(ERROR, "node %d cannot take part: %s", node, why)
    roster.absent = failed
    members = roster.among(nodes)
    _check_enough(members, failed, least)
    check_hellos(members)
    return members


def _invite(
    desk: Desk,
    roster: Roster,
    nodes: Collection[NodeId],
    arrays: ArrayRecord,
    options: Options,
) -> dict[NodeId, str]:
    """Ask nodes to introduce themselves; return why some have not."""
    fields: dict[Key, str | bool] = {
        Key.PHASE: Phase.HELLO,
        Key.INSECURE: options.insecure,
        Key.COUNT: options.counts_examples,
    }
    sent = [desk.message(node, fields, {desk.arrays_key: arrays}) for node in nodes]
    desk.count_handout(sent)
    hellos, failed = read_hellos(desk.ask(sent))
    roster.introduce(hellos)
    return failed


def _check_enough(members: Collection[NodeId], failed: Mapping[NodeId, str], least: int) -> None:
    if len(members) >= max(least, 1):
        return
    reasons = "; ".join(f"node {node}: {why}" for node, why in failed.items())
    raise ConfigError(
        f"only {len(members)} nodes can take part, and min_train_nodes={least}; {reasons}"
    )
