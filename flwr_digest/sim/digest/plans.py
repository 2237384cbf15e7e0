"""What each node is told before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from flwr_digest.core.config import NodeConfig, StreamPlan
from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.core.rounding import cargo_bytes
from flwr_digest.core.shards import shard_slices
from flwr_digest.core.state import StationState, first_state, for_new_session
from flwr_digest.core.vector import Vector
from flwr_digest.core.walk import Walk
from flwr_digest.sim.digest.later import Later
from flwr_digest.topology.regions import split_into_regions
from flwr_digest.topology.starts import start_nodes

if TYPE_CHECKING:
    from flwr_digest.sim.methods import Settings
    from flwr_digest.sim.problem import Problem

LOCAL_STEPS = 10
"""The pace where the settings do not say, as in `Digest`. Measured: 5 is a sixth sooner
at a given gap and a fifth dearer, 20 a fifth later and a fifth cheaper (digits, 4 shards)."""

RECEIPT_TRIPS = 4
"""First wait for a receipt, in undisturbed round trips: room for a few hops in a link's queue. A
guess; after the first receipt the wait is what was measured."""

LOST_TOURS = 3
"""First wait for a stream, in expected tours: as `NodeConfig.lost_tours`."""

FIRST_LIFE = 1
"""Of all nodes' accounts: see `flwr_digest.core.account.Account`."""

HOPS_PER_MEMBER = 2
"""Hops of a tour for each member, at most: a walk along a spanning tree takes two for each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plans:
    """The plan of a run.

    Attributes
    ----------
    slices : tuple of slice
        The shards.
    configs : tuple of NodeConfig
        For each node its part.
    states : mapping of StreamId to StationState
        What a member keeps of each stream before the first visit. Nothing in it ever changes, so
        all members share it.
    """

    slices: tuple[slice, ...]
    configs: tuple[NodeConfig, ...]
    states: Mapping[StreamId, StationState]

    def returning(self, node: int) -> NodeConfig:
        """Return the config of a node that comes back: the streams have started without it."""
        config = self.configs[node]
        streams = {}
        for stream_id, plan in config.streams.items():
            others = plan.members - {config.node_id}
            elsewhere = plan.start == config.node_id and others
            streams[stream_id] = replace(plan, start=min(others)) if elsewhere else plan
        return replace(config, streams=streams)

    def first_states(self, node: int, life: int) -> dict[StreamId, StationState]:
        """Return the states of a node that has never been visited, in its life of that number."""
        config = self.configs[node]
        return {
            stream_id: _of_life(self.states[stream_id], life)
            for stream_id, plan in config.streams.items()
            if config.node_id in plan.members
        }


def make_plans(problem: Problem, settings: Settings) -> Plans:
    """Return what each node is told.

    Raises
    ------
    ConfigError
        More shards than values, or more regions than the topology allows.
    """
    slices = shard_slices(problem.task.size, settings.shards)
    streams = _streams(problem, settings)
    receipt_seconds, lost_seconds = _first_waits(problem, settings, streams)
    first = NodeConfig(
        node_id=NodeId(0),
        topology={
            NodeId(node): frozenset(map(NodeId, peers)) for node, peers in problem.neighbors.items()
        },
        streams=streams,
        weight=float(problem.weights[0]),
        local_steps=LOCAL_STEPS if settings.local_steps is None else settings.local_steps,
        drift_correction=settings.drift_correction,
        walk=Walk(settings.walk),
        gate=settings.gate,
        life=FIRST_LIFE,
        seed=problem.seed,
        first_receipt_seconds=receipt_seconds,
        first_lost_seconds=lost_seconds,
    )
    weights = enumerate(problem.weights.tolist())
    configs = tuple(first.of_node(NodeId(node), weight) for node, weight in weights)
    return Plans(slices=slices, configs=configs, states=_states(problem, slices, first))


def _states(
    problem: Problem, slices: tuple[slice, ...], config: NodeConfig
) -> dict[StreamId, StationState]:
    """Return what a member keeps of each stream before the first visit, in its first life."""
    initial = [Later(problem.initial[part].shape, problem.initial[part]) for part in slices]
    return {
        stream_id: for_new_session(
            # The core takes whatever adds, subtracts and scales, see `core.vector`.
            first_state(stream_id, cast(Vector, initial[plan.shard]), FIRST_LIFE),
            drift_correction=config.drift_correction,
        )
        for stream_id, plan in config.streams.items()
    }


def _of_life(state: StationState, life: int) -> StationState:
    """Return a first state with the accounts of another life."""
    if life == state.account.life:
        return state
    return replace(state, account=replace(state.account, life=life))


def _streams(problem: Problem, settings: Settings) -> dict[StreamId, StreamPlan]:
    """Return all streams: one for each shard and region, shard by shard."""
    regions = _regions(problem, settings)
    members = [frozenset(map(NodeId, part)) for part in regions] * settings.shards
    starts = start_nodes(members, problem.seed)
    return {
        StreamId(number): StreamPlan(
            shard=ShardId(number // settings.regions), start=NodeId(start), members=members[number]
        )
        for number, start in enumerate(starts)
    }


def _regions(problem: Problem, settings: Settings) -> tuple[frozenset[int], ...]:
    """Return the nodes of each region."""
    if settings.regions == 1:  # no need to make a graph of the topology and a tree of that
        return (frozenset(problem.neighbors),)
    return split_into_regions(problem.neighbors, settings.regions, problem.seed)


def _first_waits(
    problem: Problem, settings: Settings, streams: dict[StreamId, StreamPlan]
) -> tuple[float, float]:
    """Return how long to wait for a receipt, and for a stream, before one was measured: seconds."""
    scenario = problem.scenario
    values = -(-problem.task.size // settings.shards)
    hop_bytes = cargo_bytes(values, rates=settings.drift_correction)
    transfer_seconds = hop_bytes / problem.bandwidth_bytes_per_second
    trip_seconds = transfer_seconds + 2 * scenario.latency_seconds
    members = max(len(plan.members) for plan in streams.values())
    local_steps = LOCAL_STEPS if settings.local_steps is None else settings.local_steps
    slowest_seconds = float(problem.compute().mean_seconds.max())
    tour_seconds = members * HOPS_PER_MEMBER * trip_seconds + local_steps * slowest_seconds
    # Where links take no time, a local step is the shortest time that there is.
    return (
        max(RECEIPT_TRIPS * trip_seconds, scenario.step_seconds),
        max(LOST_TOURS * tour_seconds, scenario.step_seconds),
    )
