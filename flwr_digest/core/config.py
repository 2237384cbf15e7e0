"""What a node is told before it starts, checked once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property

from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.core.walk import Topology, Walk, reachable
from flwr_digest.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamPlan:
    """What one stream is to do.

    Attributes
    ----------
    shard : ShardId
        Which slice of the model it carries.
    start : NodeId
        Where it starts; a member.
    members : frozenset of NodeId
        Its region: the nodes that it visits. It may pass through others.
    """

    shard: ShardId
    start: NodeId
    members: frozenset[NodeId]


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    """One node's part of the plan.

    Attributes
    ----------
    node_id : NodeId
        Who this is.
    topology : Topology
        All nodes of the session and their neighbors.
    streams : mapping of StreamId to StreamPlan
        All streams of the session.
    weight : float
        This node's share of the global model's steps, in (0, 1]. 1/N by default, as in DIGEST;
        FedAvg's is the node's share of the data.
    local_steps : int
        The pace H: where a tour ends (on a random walk: at each node), the stream leaves only once
        the node has made this many local steps since it last left. 0: as fast as the links allow.
    drift_correction : bool
        Whether streams carry gradient rates, too.
    walk : Walk
        How streams choose their way.
    gate : bool
        Whether nodes of several regions contribute no more often than news travels. True: without
        it many regions diverge (measured).
    life : int or None
        The life of the accounts that the plan was made for; one that was opened since knows
        nothing of what it passed on between regions. None: not asked.
    seed : int
        Decides ties of the tour.
    generation : int
        The highest fence generation that any node has reported: streams start above it, so that
        no node takes the copy that starts for one that an earlier session left behind.
    first_receipt_seconds : float
        Wait for a receipt before any was measured. 3 s: RFC 6298's initial timeout for a path
        that may be slow; a whole model may be under way.
    first_lost_seconds : float
        Wait for a stream before its tour time was measured. 30 s: a guess, longer than the first
        tour of tens of nodes over slow links, shorter than anyone wants to look at nothing.
    lost_tours : float
        A stream is thought lost after this many times its tour time. 3: one tour may be late by
        another, so two are normal.
    resends : int
        How often a hop is sent again to the same neighbor before another way is taken. 2: one
        loss is chance, a third is the link.
    """

    node_id: NodeId
    topology: Topology
    streams: Mapping[StreamId, StreamPlan]
    weight: float
    local_steps: int = 0
    drift_correction: bool = False
    walk: Walk = Walk.TOUR
    gate: bool = True
    life: int | None = None
    seed: int = 0
    generation: int = 0
    first_receipt_seconds: float = 3.0
    first_lost_seconds: float = 30.0
    lost_tours: float = 3.0
    resends: int = 2

    def __post_init__(self) -> None:
        if self.node_id not in self.topology:
            raise ConfigError(f"node {self.node_id} is not in its own topology")
        if not self.streams:
            raise ConfigError("there is no stream in the plan: at least one must be")
        for stream_id, plan in self.streams.items():
            _check_stream(stream_id, plan, self.topology)
        _check_weight(self.weight)
        if self.local_steps < 0:
            raise ConfigError(f"local_steps is {self.local_steps}: it must be 0 or more")
        for name in ("first_receipt_seconds", "first_lost_seconds"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} is {value}: it must be a number of seconds above 0")
        if not (math.isfinite(self.lost_tours) and self.lost_tours >= 1):
            raise ConfigError(f"lost_tours is {self.lost_tours}: it must be 1 or more")
        for name in ("resends", "generation"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be 0 or more")
        check_topology(self.topology)
        self._check_everyone_is_visited()

    def of_node(self, node_id: NodeId, weight: float) -> NodeConfig:
        """Return another node's part of the same plan.

        What the two share was checked here and is not checked again: that takes a time that grows
        with the nodes, and whoever makes the configs of all of them would spend it on each.

        Parameters
        ----------
        node_id : NodeId
            Who that is.
        weight : float
            That node's share of the global model's steps, in (0, 1].

        Raises
        ------
        ConfigError
            The node is not in the topology, or its weight is no share.
        """
        if node_id not in self.topology:
            raise ConfigError(f"node {node_id} is not in its own topology")
        _check_weight(weight)
        other = copy(self)  # unlike `replace`, without `__post_init__`
        object.__setattr__(other, "node_id", node_id)
        object.__setattr__(other, "weight", weight)
        return other

    def _check_everyone_is_visited(self) -> None:
        for shard in {plan.shard for plan in self.streams.values()}:
            visited = frozenset[NodeId]().union(
                *(plan.members for plan in self.streams.values() if plan.shard == shard)
            )
            if missing := set(self.topology) - visited:
                raise ConfigError(f"no stream of shard {shard} visits node {min(missing)}")

    @cached_property
    def regional(self) -> bool:
        """Whether there are several regions, so that news passes through gateways."""
        return any(len(plan.members) < len(self.topology) for plan in self.streams.values())

    def side_of(self, stream_id: StreamId) -> frozenset[NodeId]:
        """Return the other nodes whose work reaches this one by a stream that visits it.

        These are the stream's other members, and all that are beyond them: as "regions - gateways"
        is a tree, no node is on the side of two streams of the same shard.
        """
        shard = self.streams[stream_id].shard
        others = [p.members for s, p in self.streams.items() if p.shard == shard and s != stream_id]
        side = self.streams[stream_id].members - {self.node_id}
        while True:
            reached = side.union(*(part for part in others if part & side)) - {self.node_id}
            if reached == side:
                return side
            side = reached

    @property
    def neighbors(self) -> frozenset[NodeId]:
        """The nodes that this one has a link to."""
        return self.topology[self.node_id]


def _check_weight(weight: float) -> None:
    if not (math.isfinite(weight) and 0 < weight <= 1):
        raise ConfigError(f"weight is {weight}: it must be above 0 and at most 1")


def _check_stream(stream_id: StreamId, plan: StreamPlan, topology: Topology) -> None:
    if strangers := plan.members - set(topology):
        raise ConfigError(f"stream {stream_id} visits node {min(strangers)}: not in the topology")
    if plan.start not in plan.members:
        raise ConfigError(f"stream {stream_id} starts at node {plan.start}: not one of its members")


def check_topology(topology: Topology) -> None:
    """Check that a topology is symmetric, connected and without loops.

    Raises
    ------
    ConfigError
        It is not; names a node where it breaks.
    """
    for node, neighbors in topology.items():
        for peer in neighbors:
            if peer == node:
                raise ConfigError(f"the topology links node {node} with itself")
            if node not in topology.get(peer, frozenset()):
                raise ConfigError(
                    f"the topology links {node} with {peer}, but not {peer} with {node}"
                )
    start = min(topology)
    if apart := set(topology) - reachable(topology, start, frozenset()):
        raise ConfigError(f"the topology is not connected: no way from {start} to {min(apart)}")
