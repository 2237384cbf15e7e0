"""Who can be in a session together, and whether the model can be cut as asked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from flwr.app import ArrayRecord

from flwr_digest.core.address import NOWHERE, is_local
from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import Hello
from flwr_digest.core.shards import shard_slices
from flwr_digest.core.walk import Topology
from flwr_digest.errors import ConfigError


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
        if hello.address == NOWHERE:
            continue
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


def check_links(hellos: Mapping[NodeId, Hello], topology: Topology) -> None:
    """Check that of each two neighbors at least one can be dialled.

    Raises
    ------
    ConfigError
        Neither can; names both.
    """
    for node, neighbors in topology.items():
        for peer in neighbors:
            if hellos[node].address == hellos[peer].address == NOWHERE:
                raise ConfigError(
                    f"nodes {node} and {peer} are neighbors, and neither can be dialled: give one "
                    'of them a digest-address, or use topology="star" around a node that has one'
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


def check_shards(arrays: ArrayRecord, shards: int) -> None:
    """Check that a model can be cut into so many shards.

    Raises
    ------
    ConfigError
        It has fewer floating-point values. (Whether they can travel, its nodes will say.)
    """
    kinds = ("float32", "float64")
    size = sum(prod(array.shape) for array in arrays.values() if array.dtype in kinds)
    if size:
        shard_slices(size, shards)
