"""Makes one plan for each node from what the nodes have said about themselves. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from flwr_digest.core.config import StreamPlan
from flwr_digest.core.draw import draw
from flwr_digest.core.ids import NO_FENCE, NodeId, Order, ShardId, StreamId
from flwr_digest.core.plan import Hello, Peer, Plan
from flwr_digest.core.walk import Walk
from flwr_digest.strategies.checks import check_links
from flwr_digest.strategies.epochs import Epoch
from flwr_digest.strategies.options import Options
from flwr_digest.strategies.weights import shares
from flwr_digest.topology import build_topology
from flwr_digest.topology.regions import split_into_regions
from flwr_digest.topology.starts import start_nodes

FENCES_A_SESSION = 4096  # a guess: a session that raises as many has lost its stream every second
NOTHING_KEPT = Order(NO_FENCE, 0)


def make_plans(
    hellos: Mapping[NodeId, Hello],
    options: Options,
    session: str,
    session_seconds: float,
    earlier_sessions: int = 0,
    lives: Mapping[NodeId, int] | None = None,
    epoch: Epoch | None = None,
) -> dict[NodeId, Plan]:
    """Return each node's plan.

    Parameters
    ----------
    hellos : mapping of NodeId to Hello
        The members, as they have introduced themselves.
    options : Options
        How streams travel.
    session : str
        Names the session.
    session_seconds : float
        Longest time a node stays in it.
    earlier_sessions : int
        How many sessions this run had before. Streams start above every fence of theirs, also
        above those that a node has raised which was never heard of again.
    lives : mapping of NodeId to int, optional
        The lives of the nodes' accounts as the broker knows them. By default those of the hellos;
        and so where streams are cut anew, as all accounts are.
    epoch : Epoch, optional
        How the streams are cut. By default as `options` say, for the first time.

    Raises
    ------
    ConfigError
        So many nodes cannot have this topology, or cannot be divided into so many regions; or two
        neighbors both cannot be dialled.
    """
    graph = build_topology(options.topology, list(hellos), options.seed)
    topology = {NodeId(node): frozenset(map(NodeId, near)) for node, near in graph.items()}
    check_links(hellos, topology)
    epoch = epoch or Epoch(number=0, regions=options.regions)
    streams = plan_streams(graph, hellos, options, epoch)
    reported = max(hello.generation for hello in hellos.values())
    generation = max(reported, earlier_sessions * FENCES_A_SESSION)
    weights = shares(hellos, options.weighting)
    known_lives = {node: hello.life for node, hello in hellos.items()}
    if not epoch.cut_anew:
        known_lives |= lives or {}
    return {
        node: Plan(
            session=session,
            topology=topology,
            peers={
                peer: Peer(address=hellos[peer].address, certificate=hellos[peer].certificate)
                for peer in topology[node]
            },
            streams=streams,
            weight=weights[node],
            local_steps=options.local_steps,
            drift_correction=options.drift_correction,
            walk=Walk(options.walk),
            life=known_lives[node],
            epoch=epoch.number,
            calls=options.calls_per_round,
            steps_per_call=options.steps_per_call,
            steps=options.steps_per_round,
            seed=options.seed,
            generation=generation,
            session_seconds=session_seconds,
            insecure=options.insecure,
        )
        for node in hellos
    }


def plan_streams(
    topology: Mapping[int, frozenset[int]],
    hellos: Mapping[NodeId, Hello],
    options: Options,
    epoch: Epoch,
) -> dict[StreamId, StreamPlan]:
    """Return one stream for each shard and region; stream ``shard * regions + region``.

    The same nodes, options and seed make the same regions in every session. A stream starts at
    the member that keeps its newest copy; as long as there is none, the starts are spread evenly.
    In the first session of a new epoch, too, unless it says where they start.

    Raises
    ------
    ConfigError
        More regions than the nodes can be divided into.
    """
    regions = [
        frozenset(map(NodeId, region))
        for region in split_into_regions(topology, epoch.regions, options.seed)
    ]
    members = regions * options.shards
    spread = map(NodeId, start_nodes(members, options.seed))
    return {
        StreamId(number): StreamPlan(
            shard=ShardId(number // len(regions)),
            start=(
                epoch.starts.get(ShardId(number // len(regions)), first)
                if epoch.cut_anew
                else _start(
                    StreamId(number), region, first, _of_epoch(hellos, epoch.number), options
                )
            ),
            members=region,
        )
        for number, (region, first) in enumerate(zip(members, spread, strict=True))
    }


def _start(
    stream_id: StreamId,
    members: frozenset[NodeId],
    first: NodeId,
    hellos: Mapping[NodeId, Hello],
    options: Options,
) -> NodeId:
    """Return where a stream starts: `first`, unless another member keeps a newer copy of it."""
    kept = {node: hello.kept for node, hello in hellos.items()}
    orders = {node: kept.get(node, {}).get(stream_id, NOTHING_KEPT) for node in members}
    newest = max(orders.values())
    keepers = sorted(node for node, order in orders.items() if order == newest)
    return first if first in keepers else draw(keepers, options.seed, stream_id)


def _of_epoch(hellos: Mapping[NodeId, Hello], epoch: int) -> Mapping[NodeId, Hello]:
    """Return those that keep streams of that epoch: the same numbers are others in another."""
    return {node: hello for node, hello in hellos.items() if hello.epoch == epoch}


def freshest(hellos: Mapping[NodeId, Hello], seed: int) -> NodeId:
    """Return the node that keeps the newest copy of the most streams; of several, a seeded choice.

    After a session that has closed, every node that was in it keeps the final model; the others
    keep older copies. After one that was cut off, streams differ in who has seen them last. Only
    those of the latest epoch count.
    """
    hellos = _of_epoch(hellos, max(hello.epoch for hello in hellos.values()))
    streams = sorted({stream for hello in hellos.values() for stream in hello.kept})
    counts = dict.fromkeys(sorted(hellos), 0)
    for stream in streams:
        orders = {node: hello.kept.get(stream, NOTHING_KEPT) for node, hello in hellos.items()}
        newest = max(orders.values())
        for node, order in orders.items():
            counts[node] += order == newest
    most = max(counts.values())
    return draw([node for node, count in counts.items() if count == most], seed)
