"""Makes one plan for each node from what the nodes have said about themselves. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from flwr_digest.core.address import is_local
from flwr_digest.core.draw import draw
from flwr_digest.core.ids import NO_FENCE, NodeId, Order, StreamId
from flwr_digest.core.plan import Hello, Peer, Plan
from flwr_digest.errors import ConfigError
from flwr_digest.strategies.options import Options
from flwr_digest.topology import build_topology

THE_STREAM = StreamId(0)  # single-stream: it carries the whole model
FENCES_A_SESSION = 4096  # a guess: a session that raises as many has lost its stream every second


def check_hellos(hellos: Mapping[NodeId, Hello]) -> None:
    """Check that these nodes can be in one session together.

    Raises
    ------
    ConfigError
        The engine cannot run them all at once, two share an address, or some can only be dialled
        from their own machine and others are elsewhere.
    """
    _check_slots(hellos)
    by_address: dict[str, NodeId] = {}
    for node, hello in hellos.items():
        other = by_address.setdefault(hello.address, node)
        if other != node:
            raise ConfigError(
                f"nodes {other} and {node} both say that they listen at {hello.address}: "
                "give each its own digest-address"
            )
    local = sorted(node for node, hello in hellos.items() if is_local(hello.address))
    if local and len(local) < len(hellos):
        raise ConfigError(
            f"node {local[0]} says to dial it at {hellos[local[0]].address}, which only its own "
            'machine can; set digest-advertise="HOST:PORT" in its node-config'
        )


def _check_slots(hellos: Mapping[NodeId, Hello]) -> None:
    slots = min((hello.slots for hello in hellos.values() if hello.slots), default=0)
    if slots and slots < len(hellos):
        raise ConfigError(
            f"the simulation engine runs {slots} of {len(hellos)} nodes at once, and the nodes of "
            "a DIGEST session talk to each other: run it with --federation-config "
            f'"num-supernodes={len(hellos)} client-resources-num-cpus=1 '
            f'init-args-num-cpus={len(hellos)}"'
        )


def make_plans(
    hellos: Mapping[NodeId, Hello],
    options: Options,
    session: str,
    session_seconds: float,
    earlier_sessions: int = 0,
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
    """
    topology = {
        NodeId(node): frozenset(map(NodeId, near))
        for node, near in build_topology(options.topology, list(hellos), options.seed).items()
    }
    streams = {THE_STREAM: freshest(hellos, options.seed)}
    reported = max(hello.generation for hello in hellos.values())
    generation = max(reported, earlier_sessions * FENCES_A_SESSION)
    return {
        node: Plan(
            session=session,
            topology=topology,
            peers={
                peer: Peer(address=hellos[peer].address, certificate=hellos[peer].certificate)
                for peer in topology[node]
            },
            streams=streams,
            weight=1 / len(hellos),
            local_steps=options.local_steps,
            seed=options.seed,
            generation=generation,
            session_seconds=session_seconds,
            insecure=options.insecure,
        )
        for node in hellos
    }


def freshest(hellos: Mapping[NodeId, Hello], seed: int) -> NodeId:
    """Return a node that keeps the newest copy of the stream; of several, a seeded choice."""
    never = Order(NO_FENCE, 0)
    orders = {node: hello.kept.get(THE_STREAM, never) for node, hello in hellos.items()}
    newest = max(orders.values())
    return draw(sorted(node for node, order in orders.items() if order == newest), seed)
