"""Names and orders: who, which stream of which shard, and which of two copies counts."""

from __future__ import annotations

from typing import NamedTuple, NewType

NodeId = NewType("NodeId", int)
StreamId = NewType("StreamId", int)
ShardId = NewType("ShardId", int)


class Fence(NamedTuple):
    """Orders competing copies of one stream; the higher one wins.

    Raised by whoever re-issues a stream or sends it to another node than before. The node's id
    breaks ties, so two nodes that raise a fence at the same time never make equal ones.
    """

    generation: int
    node: NodeId


class Order(NamedTuple):
    """Where a copy stands among all copies of its stream: by fence first, then by hop."""

    fence: Fence
    hop: int


class Link(NamedTuple):
    """An undirected link of the topology, the smaller id first. Make it with `link`."""

    low: NodeId
    high: NodeId


NO_FENCE = Fence(0, NodeId(-1))  # below every fence that a node can raise


def link(one: NodeId, other: NodeId) -> Link:
    """Return the link between two nodes, whichever is named first."""
    return Link(min(one, other), max(one, other))
