"""Where a stream goes from a node, by what the node knows of its links. Pure functions."""

from __future__ import annotations

from flwr_digest.core.config import NodeConfig
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.stream import Stream, Tour
from flwr_digest.core.walk import Walk, next_hop, note_links, reachable, wander


def noted(config: NodeConfig, tour: Tour, live: frozenset[NodeId]) -> Tour:
    """Return a tour with the state of this node's own links."""
    return note_links(tour, config.node_id, config.neighbors, live)


def is_alone(config: NodeConfig, stream_id: StreamId, live: frozenset[NodeId]) -> bool:
    """Whether no other member can be reached, as far as this node's own links tell."""
    members = config.streams[stream_id].members
    if live & members:
        return False
    own = noted(config, Tour(), live)
    return reachable(config.topology, config.node_id, own.dead_links) & members <= {config.node_id}


def onward(
    config: NodeConfig, stream: Stream, tour: Tour, *, stays: int = 0, touring: bool
) -> NodeId | None:
    """Return the next node of a stream; None at the end of a tour, this node to stay a while.

    Parameters
    ----------
    config : NodeConfig
        Of the node that has the stream.
    stream : Stream
        The copy that is to leave.
    tour : Tour
        What is known of its tour, and of links.
    stays : int
        How often a random walk has chosen to stay here.
    touring : bool
        Whether the stream goes by tour whatever the plan's walk: nobody here trains any more.
    """
    members, me = config.streams[stream.stream_id].members, config.node_id
    key = (config.seed, stream.stream_id, stream.hop, stays)
    if config.walk is not Walk.TOUR and not stream.closing and not touring:
        metropolis = config.walk is Walk.METROPOLIS
        peer = wander(config.topology, members, me, tour, key, metropolis=metropolis)
        if peer is not None:
            return peer
    return next_hop(config.topology, members, me, tour, key)
