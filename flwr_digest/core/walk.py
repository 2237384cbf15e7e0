"""The tour: where a stream goes next. Pure functions over the topology.

A tour visits each member once before any a second time: from the holder to the nearest member not
yet seen on this tour, along a shortest path over links that are not known to be dead. On the way
the choice is made anew at each node, which always comes nearer: no route needs to be carried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flwr_digest.core.draw import draw
from flwr_digest.core.ids import Link, NodeId, link
from flwr_digest.core.stream import Tour

Topology = Mapping[NodeId, frozenset[NodeId]]
"""For each node its neighbors; symmetric, without loops."""


def note_links(
    tour: Tour, holder: NodeId, neighbors: frozenset[NodeId], live: frozenset[NodeId]
) -> Tour:
    """Return the tour with what `holder` knows better than anyone: the state of its own links."""
    own = {peer: link(holder, peer) for peer in neighbors}
    dead = {path for peer, path in own.items() if peer not in live}
    return replace(tour, dead_links=(tour.dead_links - set(own.values())) | dead)


def next_hop(topology: Topology, holder: NodeId, tour: Tour, key: tuple[int, ...]) -> NodeId | None:
    """Return the neighbor to send the stream to; None where all that can be reached is seen.

    Parameters
    ----------
    topology : Topology
        All nodes and links of the plan.
    holder : NodeId
        The node that has the stream; counts as seen.
    tour : Tour
        What has been seen, and the links to avoid.
    key : tuple of int
        Decides between equally near members: seed, stream and hop.
    """
    ways = _ways(topology, holder, tour.dead_links)
    unseen = {node: distance for node, (distance, _) in ways.items() if node not in tour.seen}
    if not unseen:
        return None
    nearest = min(unseen.values())
    target = draw(sorted(node for node in unseen if unseen[node] == nearest), *key)
    return ways[target][1]


def reachable(topology: Topology, holder: NodeId, dead_links: frozenset[Link]) -> frozenset[NodeId]:
    """Return the nodes that a stream can come to from `holder`, itself included."""
    return frozenset(_ways(topology, holder, dead_links)) | {holder}


def _ways(
    topology: Topology, holder: NodeId, dead_links: frozenset[Link]
) -> dict[NodeId, tuple[int, NodeId]]:
    """Return for every node that can be reached: its distance, and the first step towards it."""
    found: dict[NodeId, tuple[int, NodeId]] = {}
    layer = [(holder, holder)]
    distance = 0
    while layer:
        distance += 1
        following: list[tuple[NodeId, NodeId]] = []
        for node, first in layer:
            for peer in sorted(topology[node]):
                if peer == holder or peer in found or link(node, peer) in dead_links:
                    continue
                step = peer if node == holder else first
                found[peer] = (distance, step)
                following.append((peer, step))
        layer = following
    return found
