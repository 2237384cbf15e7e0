"""Epochs: whether the streams go on as they are cut, or are cut anew for other nodes. Pure.

One region goes on whoever comes and goes. Several do not: a gateway that is gone leaves regions
without a way between them, and one that has lost its state does not know what it had passed on. So
when nodes have come or gone, a new epoch begins. Several regions can begin only where all nodes
have the same model, as after a round that closed: then whatever a gateway passes on is new to the
other side. Else the epoch has one region, which brings all to the same model; the next has several.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flwr_digest.core.config import StreamPlan
from flwr_digest.core.draw import draw
from flwr_digest.core.epoch import Contents
from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.core.plan import Hello


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """How the streams are cut in a session.

    Attributes
    ----------
    number : int
        How often they had been cut anew in this run.
    regions : int
        Into how many regions the nodes are divided.
    why : str
        Why they are cut anew now, in words; empty where they go on, or begin.
    starts : mapping of ShardId to NodeId
        Where the streams of a shard start, if one copy is to be the beginning.
    cut_anew : bool
        Whether the epoch begins with this session.
    forfeited_steps : int
        Steps of nodes that are gone, which only copies had that the epoch does not begin with.
    """

    number: int
    regions: int
    why: str = ""
    starts: Mapping[ShardId, NodeId] = field(default_factory=dict)
    cut_anew: bool = False
    forfeited_steps: int = 0


@dataclass(frozen=True, kw_only=True)
class LastSession:
    """What the broker remembers of the session before.

    Attributes
    ----------
    epoch : Epoch
        How the streams were cut.
    members : frozenset of NodeId
        Who was in it.
    gateways : mapping of NodeId to int
        The nodes of several regions, with the lives of their accounts when the epoch began.
    """

    epoch: Epoch
    members: frozenset[NodeId]
    gateways: Mapping[NodeId, int] = field(default_factory=dict)


def next_epoch(
    hellos: Mapping[NodeId, Hello],
    regions: int,
    last: LastSession | None,
    absent: Mapping[NodeId, str],
    seed: int = 0,
) -> Epoch:
    """Return how the streams are cut in the next session.

    Parameters
    ----------
    hellos : mapping of NodeId to Hello
        Who is in it.
    regions : int
        How many regions the user wants.
    last : LastSession or None
        The session before; None before the first of this strategy.
    absent : mapping of NodeId to str
        Why some nodes are not in it.
    seed : int
        Decides between copies that contain as much.
    """
    number = max(hello.epoch for hello in hellos.values())
    if last is None:
        if not any(hello.kept for hello in hellos.values()):
            return Epoch(number=number, regions=regions)  # too many for so few nodes: refused later
        return _cut_anew(hellos, regions, number + 1, "a strategy before this one had others", seed)
    before = last.epoch
    target = min(regions, max(1, len(hellos) - 1))
    if regions == 1 or target == before.regions == 1:
        return _going_on(before)
    reasons = _changes(hellos, last, absent)
    if before.regions > 1 and not reasons:
        return _going_on(before)
    if before.regions == 1 and not _common(hellos):
        return _going_on(before)
    why = ", ".join(reasons) or "all nodes have the same model again"
    return _cut_anew(hellos, target, max(number, before.number) + 1, why, seed)


def last_session(
    epoch: Epoch,
    hellos: Mapping[NodeId, Hello],
    streams: Mapping[StreamId, StreamPlan],
    before: LastSession | None,
) -> LastSession:
    """Return what to remember of a session that is about to begin."""
    if before is not None and not epoch.cut_anew:
        gateways = before.gateways
    else:
        gateways = {node: hellos[node].life for node in sorted(gateways_in(streams))}
    return LastSession(epoch=epoch, members=frozenset(hellos), gateways=gateways)


def gateways_in(streams: Mapping[StreamId, StreamPlan]) -> frozenset[NodeId]:
    """Return the nodes that streams of several regions visit."""
    seen: set[NodeId] = set()
    found: set[NodeId] = set()
    for plan in streams.values():
        if plan.shard == 0:
            found |= seen & plan.members
            seen |= plan.members
    return frozenset(found)


def line_about(epoch: Epoch, nodes: int) -> str:
    """Return a line for the log about an epoch that begins."""
    if epoch.regions > 1:
        how = f"{epoch.regions} regions, drawn anew: all {nodes} nodes begin with the same model"
    else:
        how = f"1 region, until all {nodes} nodes have the same model"
    lost = epoch.forfeited_steps
    given_up = f"; {lost} local steps of nodes that are gone are given up" if lost else ""
    return f"epoch {epoch.number} begins ({epoch.why}) with {how}{given_up}"


def _going_on(epoch: Epoch) -> Epoch:
    return Epoch(number=epoch.number, regions=epoch.regions)


def _cut_anew(
    hellos: Mapping[NodeId, Hello], regions: int, number: int, why: str, seed: int
) -> Epoch:
    if _common(hellos):
        return Epoch(number=number, regions=regions, why=why, cut_anew=True)
    starts = _fullest(hellos, seed)
    lost = max((_lost_steps(hellos, shard, node) for shard, node in starts.items()), default=0)
    return Epoch(
        number=number, regions=1, why=why, starts=starts, cut_anew=True, forfeited_steps=lost
    )


def _changes(
    hellos: Mapping[NodeId, Hello], last: LastSession, absent: Mapping[NodeId, str]
) -> list[str]:
    """Return, in words, what keeps regions from going on as they are."""
    missing, new = sorted(last.members - set(hellos)), sorted(set(hellos) - last.members)
    stayed = sorted(last.members & set(hellos))
    other = [n for n in stayed if n in last.gateways and hellos[n].life != last.gateways[n]]
    late = [n for n in stayed if n not in other and hellos[n].epoch != last.epoch.number]
    return [
        *(f"node {n} is missing: {absent.get(n, 'it was not asked')}" for n in missing),
        *(f"node {n} is new" for n in new),
        *(f"gateway {n} has lost its state" for n in other),
        *(f"node {n} has missed the last round" for n in late),
    ]


def _common(hellos: Mapping[NodeId, Hello]) -> bool:
    """Return whether all nodes have the same model, and know what they have given to it."""
    first, *others = hellos.values()
    known = all(hello.life for hello in hellos.values())
    return known and all(other.contents == first.contents for other in others)


def _fullest(hellos: Mapping[NodeId, Hello], seed: int) -> dict[ShardId, NodeId]:
    """Return for each shard a node whose copy contains most local steps."""
    starts = {}
    shards = max(len(hello.contents) for hello in hellos.values())
    for shard in map(ShardId, range(shards)):
        steps = {node: _steps_in(_of_shard(hello, shard)) for node, hello in hellos.items()}
        most = max(steps.values())
        best = sorted(node for node, count in steps.items() if count == most)
        starts[shard] = draw(best, seed, shard)
    return starts


def _lost_steps(hellos: Mapping[NodeId, Hello], shard: ShardId, start: NodeId) -> int:
    """Return how many steps of absent nodes only copies have that the epoch does not begin with.

    At most: a node that comes back with its state brings its own again.
    """
    begins = _of_shard(hellos[start], shard)
    most: dict[NodeId, int] = {}
    for hello in hellos.values():
        for node, told in _of_shard(hello, shard).items():
            known = begins.get(node)
            held = known.steps if known is not None and known.life == told.life else 0
            later = known is not None and known.life > told.life
            if node not in hellos and not later:
                most[node] = max(most.get(node, 0), told.steps - held)
    return sum(most.values())


def _of_shard(hello: Hello, shard: ShardId) -> Contents:
    return hello.contents[shard] if hello.contents else {}


def _steps_in(contents: Contents) -> int:
    return sum(told.steps for told in contents.values())
