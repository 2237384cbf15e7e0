"""A world for cores: nodes wired together in memory, with every fault at the caller's command.

No threads and no clock: messages wait in a bag until someone delivers, drops or doubles them, and
time is whatever the next timer says. So one seed is one history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import networkx as nx
import numpy as np

from flwr_digest.core.config import NodeConfig, StreamPlan
from flwr_digest.core.effects import (
    AwaitSteps,
    CancelTimer,
    Effect,
    Notice,
    NoticeKind,
    Rebase,
    Send,
    SetTimer,
    StreamClosed,
)
from flwr_digest.core.epoch import Contents, carried_over, contents_of, fullest
from flwr_digest.core.events import (
    Event,
    LinkDown,
    LinkUp,
    LocalSteps,
    MessageReceived,
    SessionStarted,
    Timer,
    TimerFired,
    TimerKind,
    TrainingFinished,
)
from flwr_digest.core.ids import Link, NodeId, ShardId, StreamId, link
from flwr_digest.core.invariants import UnitWork, check_station
from flwr_digest.core.messages import Hop, Message
from flwr_digest.core.node import Node
from flwr_digest.core.rounding import BLOCK_VALUES, MOST
from flwr_digest.core.state import StationState, first_state, for_new_session
from flwr_digest.core.stream import Stream
from flwr_digest.core.vector import Vector
from flwr_digest.core.walk import Walk
from flwr_digest.topology.regions import split_into_regions

STREAM = StreamId(0)
TOLERANCE_RATE = 1e-3
MOST_LIVES = 4
MOST_NODES = 8
LATENCY_SECONDS = 1e-4  # of one delivery after the other, all over the world


@dataclass
class Wire:
    """A message under way."""

    sender: NodeId
    receiver: NodeId
    message: Message


class UnitRates:
    """Gradients of which every node's mean can be told apart, and told from all that it was.

    Each life's k-th gradient is k on its own coordinate. So its rate is a mean of some of its
    consecutive numbers: above 0, at most the number of its steps.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.made: dict[tuple[NodeId, int], int] = {}
        self.axes: dict[tuple[NodeId, int], int] = {}

    def step(self, node: NodeId, life: int, displacement: Vector) -> Vector:
        """Return the next gradient of a life whose steps go along `displacement`."""
        self.axes[node, life] = int(np.argmax(displacement))
        self.made[node, life] = self.made.get((node, life), 0) + 1
        return displacement * np.float32(self.made[node, life])

    def forget(self) -> None:
        """Begin a new session, in which all rates are measured anew."""
        self.made.clear()

    def check_copy(self, stream: Stream, *, exact: bool) -> None:
        """Check that a copy holds of each node's rates one, or none."""
        if stream.rate is None or not exact:
            return
        for key, axis in self.axes.items():
            rate = float(stream.rate[axis]) / self.weight
            given = {mean for mean in self._means(key) if abs(mean - rate) < _tolerance(mean)}
            assert given, f"{stream.order}: {rate} was never a rate of {key}"

    def _means(self, key: tuple[NodeId, int]) -> Iterator[float]:
        """Yield all that the rate of a life can have been: no rate, or the mean of a window."""
        yield 0.0
        made = self.made.get(key, 0)
        yield from ((first + last) / 2 for last in range(made + 1) for first in range(1, last))


def _tolerance(rate: float) -> float:
    """Return how far off a rate may be that travels rounded: half a step of its block."""
    return TOLERANCE_RATE + rate / MOST


@dataclass
class World:
    """Nodes of one plan, the messages under way between them, and all that can befall them."""

    graph: nx.Graph[int]
    local_steps: int = 0
    seed: int = 0
    shards: int = 1
    regions: int = 1
    drift_correction: bool = False
    walk: Walk = Walk.TOUR
    now: float = 0.0
    under_way: list[Wire] = field(default_factory=list)
    nodes: dict[NodeId, Node] = field(default_factory=dict)
    saved: dict[NodeId, dict[StreamId, StationState]] = field(default_factory=dict)
    models: dict[NodeId, dict[ShardId, Vector]] = field(default_factory=dict)
    timers: dict[NodeId, dict[Timer, float]] = field(default_factory=dict)
    up: set[Link] = field(default_factory=set)
    finished: set[NodeId] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    forfeited_steps: int = 0
    capped: bool = False
    """Whether a node had to forget history that it would have kept, were there no bound."""
    epoch: int = 0
    """How often the nodes' streams were cut anew."""
    cuts: dict[NodeId, tuple[int, int]] = field(default_factory=dict)
    """Of which epoch, and how many regions, each node's saved states are."""
    begun_anew: bool = False
    """Whether newcomers among themselves have re-issued the initial model in a later session."""
    watch: Callable[[World, NodeId, Event | Effect], None] = lambda world, node, what: None
    """Told of every event before a node handles it, and of every effect before it is done."""

    def __post_init__(self) -> None:
        self.members = [NodeId(node) for node in sorted(self.graph)]
        self.weight = 1 / len(self.members)
        size = BLOCK_VALUES * MOST_LIVES * max(MOST_NODES, len(self.members))
        self.work = UnitWork(size, self.weight, apart=BLOCK_VALUES)  # each rate is rounded alone
        self.rates = UnitRates(self.weight)
        self.initial = np.zeros(size, dtype=np.float32)
        self.lives = dict.fromkeys(self.members, 0)
        self.known_lives: dict[NodeId, int] = {}  # to the broker, when it made the plan
        self.generation = 0
        self.plan_streams(dict.fromkeys(map(StreamId, range(self.shards * self.regions))))
        for node in self.members:
            self.boot(node, with_state=False)
        for one, other in self.graph.edges:
            self.connect(NodeId(one), NodeId(other))

    def plan_streams(self, starts: Mapping[StreamId, NodeId | None]) -> None:
        """Decide whom each stream visits; it starts at the node given, or at its first member."""
        parts = split_into_regions(neighbors_of(self.graph), self.regions, self.seed)
        self.streams = {}
        for stream_id, start in starts.items():
            members = frozenset(map(NodeId, parts[stream_id % self.regions]))
            self.streams[stream_id] = StreamPlan(
                shard=ShardId(stream_id // self.regions),
                start=min(members) if start is None else start,
                members=members,
            )

    # --- what a driver does -------------------------------------------------------------------

    def boot(self, node: NodeId, *, with_state: bool) -> None:
        """Start a node: from what it had, or empty, as a new life."""
        states = self._states_of(node) if with_state and node in self.saved else None
        if states is None:
            self.lives[node] = self.lives.get(node, 0) + 1
            self.work.begin(node, self.lives[node])
            self.known_lives.setdefault(node, self.lives[node])
            states = self.first_states(node)
        config = NodeConfig(
            node_id=node,
            topology={NodeId(n): frozenset(map(NodeId, self.graph[n])) for n in self.graph},
            streams=self.streams,
            weight=self.weight,
            local_steps=self.local_steps,
            drift_correction=self.drift_correction,
            walk=self.walk,
            life=self.known_lives[node],
            seed=self.seed,
            generation=self.generation,
        )
        self.nodes[node], self.timers[node] = Node(config, states), {}
        self.models[node] = {
            self.streams[stream_id].shard: state.kept.model for stream_id, state in states.items()
        }
        self.happen(node, SessionStarted())
        if node in self.finished:
            self.happen(node, TrainingFinished())

    def _states_of(self, node: NodeId) -> dict[StreamId, StationState]:
        """Return what a node has saved; where that is of an earlier epoch, carried over."""
        if self.cuts[node][0] == self.epoch:
            return self.saved[node]
        return {
            stream_id: for_new_session(
                carried_over(self._of_shard(node, plan.shard), stream_id, node),
                drift_correction=self.drift_correction,
            )
            for stream_id, plan in self.streams.items()
            if node in plan.members
        }

    def _of_shard(self, node: NodeId, shard: ShardId) -> dict[StreamId, StationState]:
        regions = self.cuts[node][1]
        return {s: state for s, state in self.saved[node].items() if s // regions == shard}

    def contents_at(self, node: NodeId, shard: ShardId) -> Contents:
        """Return what a node has saved of a shard: what its fullest copy contains of whom."""
        kept = self._of_shard(node, shard) if node in self.saved else {}
        return contents_of(fullest(kept)) if kept else {}

    def first_states(self, node: NodeId) -> dict[StreamId, StationState]:
        """Return the states of a node that has no memory."""
        return {
            stream_id: for_new_session(
                first_state(stream_id, self.initial, self.lives[node]),
                drift_correction=self.drift_correction,
            )
            for stream_id, plan in self.streams.items()
            if node in plan.members
        }

    def happen(self, node: NodeId, event: Event) -> None:
        """Hand an event to a node, carry out its effects, and check the node."""
        self.watch(self, node, event)
        before = self._histories(node)
        for effect in self.nodes[node].handle(event, self.now):
            self.watch(self, node, effect)
            self._carry_out(node, effect)
        self.capped |= any(
            number > min(kept)
            for stream_id, kept in self._histories(node).items()
            for number in before[stream_id] - kept
        )
        for station in self.nodes[node].stations.values():
            check_station(station)
            self.check_copy(station.kept)

    def _histories(self, node: NodeId) -> dict[StreamId, set[int]]:
        stations = self.nodes[node].stations.items()
        return {s: set(station.account.applied) for s, station in stations if station.shard}

    def check_copy(self, stream: Stream) -> None:
        """Check a copy of a stream against all that was done, and what its cargo says of rates."""
        members = self.streams[stream.stream_id].members
        exact = not self.all_forfeited()
        self.work.check_copy(stream, members, exact=exact)
        self.rates.check_copy(stream, exact=exact)

    def _carry_out(self, node: NodeId, effect: Effect) -> None:
        match effect:
            case Send(peer=peer, message=message):
                if link(node, peer) in self.up:
                    self.under_way.append(Wire(node, peer, message))
            case SetTimer(timer=timer, at=at):
                self.timers[node][timer] = at
            case CancelTimer(timer=timer):
                self.timers[node].pop(timer, None)
            case Rebase(shard=shard, model=model):
                self.models[node][shard] = model
            case Notice(kind=kind, stream_id=stream_id):
                self.log.append(f"{node}: {kind.value}")
                never_visited = self.nodes[node].stations[stream_id].kept.hop == 1  # by itself
                if kind is NoticeKind.REISSUED and never_visited and self.generation:
                    self.begun_anew = True
            case AwaitSteps() | StreamClosed():
                pass  # every local step is handed in at once; `closed` says the rest

    # --- what can happen ----------------------------------------------------------------------

    def train(self, node: NodeId, steps: int = 1) -> None:
        """Let a node make unit steps, the same in every shard."""
        for _ in range(steps):
            displacement = self.work.step(node, self.lives[node])
            gradients = self.rates.step(node, self.lives[node], displacement)
            for shard in map(ShardId, range(self.shards)):
                self.models[node][shard] = self.models[node][shard] + displacement
                event = LocalSteps(
                    shard=shard,
                    steps=1,
                    displacement=displacement,
                    gradients=gradients if self.drift_correction else None,
                )
                self.happen(node, event)

    def deliver(self, index: int = 0, *, keep: bool = False) -> None:
        """Deliver one message, whichever; with `keep` it will come once more."""
        wire = self.under_way[index] if keep else self.under_way.pop(index)
        self.now += LATENCY_SECONDS
        if wire.receiver in self.nodes and link(wire.sender, wire.receiver) in self.up:
            self.happen(wire.receiver, MessageReceived(peer=wire.sender, message=wire.message))

    def drop(self, index: int) -> None:
        """Lose a message."""
        del self.under_way[index]

    def connect(self, one: NodeId, other: NodeId) -> None:
        """Bring a link up, where both its ends are there."""
        path = link(one, other)
        if path not in self.up and one in self.nodes and other in self.nodes:
            self.up.add(path)
            self.happen(one, LinkUp(peer=other))
            self.happen(other, LinkUp(peer=one))

    def cut(self, one: NodeId, other: NodeId) -> None:
        """Take a link down, with all that is under way on it."""
        path = link(one, other)
        if path in self.up:
            self.up.discard(path)
            self.under_way = [w for w in self.under_way if link(w.sender, w.receiver) != path]
            for node, peer in ((one, other), (other, one)):
                if node in self.nodes:
                    self.happen(node, LinkDown(peer=peer))

    def crash(self, node: NodeId) -> None:
        """Kill a node; what it had saved stays."""
        self._put_away(node)
        for peer in map(NodeId, self.graph[node]):
            self.cut(node, peer)

    def _put_away(self, node: NodeId) -> None:
        self.saved[node] = self.nodes[node].states
        self.cuts[node] = self.epoch, self.regions
        self.forfeited_steps += self._forfeited_by(node)
        del self.nodes[node]

    def restart(self, node: NodeId, *, with_state: bool) -> None:
        """Start a crashed node again, and its links."""
        self.boot(node, with_state=with_state)
        for peer in map(NodeId, self.graph[node]):
            self.connect(node, peer)

    def believe_lost(self, node: NodeId, index: int = 0) -> None:
        """Let a node lose its patience with one of its streams at once, rightly or not."""
        streams = sorted(self.nodes[node].members)
        for kind in (TimerKind.LOST, TimerKind.ANSWERS):
            timer = Timer(kind=kind, stream_id=streams[index % len(streams)])
            self.happen(node, TimerFired(timer=timer))

    def fire_next_timer(self) -> None:
        """Let time pass until the next timer, and fire it."""
        due = [(at, node, t) for node in self.nodes for t, at in self.timers[node].items()]
        if due:
            at, node, timer = min(due, key=_by_time)
            self.now = max(self.now, at)
            del self.timers[node][timer]
            self.happen(node, TimerFired(timer=timer))

    def _timer_is_due(self) -> bool:
        return any(at <= self.now for node in self.nodes for at in self.timers[node].values())

    def finish(self, node: NodeId) -> None:
        """End a node's training."""
        self.finished.add(node)
        if node in self.nodes:
            self.happen(node, TrainingFinished())

    # --- the end ------------------------------------------------------------------------------

    def finish_session(self, most_events: int = 100_000) -> None:
        """Heal everything, end all training, and let the session come to its end by itself."""
        for node in self.members:
            if node not in self.nodes:
                self.boot(node, with_state=True)
        for one, other in self.graph.edges:
            self.connect(NodeId(one), NodeId(other))
        for node in self.members:
            self.finish(node)
        for _ in range(most_events):
            if all(node.closed for node in self.nodes.values()) and not self.under_way:
                return
            if self.under_way and not self._timer_is_due():
                self.deliver(0)
            else:
                self.fire_next_timer()
        raise AssertionError(f"the session did not end within {most_events} events")

    def next_session(
        self, graph: nx.Graph[int] | None = None, *, regions: int | None = None
    ) -> None:
        """End the session where it stands and begin another, as a broker would.

        With another graph, its nodes are the new members: some may be new, others may have left.
        With a number of regions a new epoch begins: with so many, where all members have the same
        model, else with one.
        """
        for node in list(self.nodes):
            self.known_lives[node] = self.lives[node]  # it has told of the end
            self._put_away(node)
        self.up.clear()  # for all at once: nobody sees the others leave
        self.under_way.clear()
        if graph is not None:
            self.graph = graph
            self.members = [NodeId(node) for node in sorted(graph)]
        if regions is None:
            self.plan_streams(self._newest_holders())
        else:
            self._new_epoch(regions)
        present = [self.saved[node] for node in self.members if node in self.saved]
        self.generation = max(
            state.highest.generation for states in present for state in states.values()
        )
        self.finished.clear()
        self.rates.forget()
        for node, states in self.saved.items():
            self.saved[node] = {
                stream_id: for_new_session(state, drift_correction=self.drift_correction)
                for stream_id, state in states.items()
            }
        for node in self.members:
            self.boot(node, with_state=True)
        for one, other in self.graph.edges:
            self.connect(NodeId(one), NodeId(other))

    def _new_epoch(self, regions: int) -> None:
        found = {s: [self.contents_at(n, s) for n in self.members] for s in self._shards()}
        common = all(contents == each[0] for each in found.values() for contents in each)
        self.epoch += 1
        self.regions = regions if common else 1
        starts: dict[StreamId, NodeId | None] = {}
        for shard, each in found.items():
            steps = [sum(told.steps for told in contents.values()) for contents in each]
            first = self.members[steps.index(max(steps))]
            for region in range(self.regions):
                starts[StreamId(shard * self.regions + region)] = None if common else first
        self.plan_streams(starts)
        self.known_lives = {**self.known_lives, **self.lives}

    def _shards(self) -> list[ShardId]:
        return list(map(ShardId, range(self.shards)))

    def _newest_holders(self) -> dict[StreamId, NodeId | None]:
        """Return which member keeps the newest copy of each stream."""
        holders: dict[StreamId, NodeId | None] = {}
        for stream_id in self.streams:
            kept = {
                node: self.saved[node][stream_id].kept.order
                for node in self.members
                if self.cuts.get(node, (-1, 0))[0] == self.epoch and stream_id in self.saved[node]
            }
            holders[stream_id] = max(kept, key=lambda node: kept[node])
        return holders

    def newest_holder(self) -> NodeId:
        """Return which node, dead or alive, a member or not, keeps the newest copy."""
        states = {**self.saved, **{node: alive.states for node, alive in self.nodes.items()}}
        return max(states, key=lambda node: states[node][STREAM].kept.order)

    def closing(self) -> bool:
        """Whether anyone has begun the last tour of the session."""
        return any(
            station.closed or station.kept.closing
            for node in self.nodes.values()
            for station in node.stations.values()
        )

    def all_forfeited(self) -> int:
        """How much was given up so far, by the counters of all nodes, dead ones too."""
        return self.forfeited_steps + sum(map(self._forfeited_by, self.nodes))

    def _forfeited_by(self, node: NodeId) -> int:
        stations = self.nodes[node].stations.values()
        lost = sum(station.counters.lost_deposits for station in stations)
        return lost + sum(station.counters.forfeited_steps for station in stations)

    def hops_under_way(self) -> int:
        """How many copies of the stream are travelling."""
        return sum(isinstance(wire.message, Hop) for wire in self.under_way)


def neighbors_of(graph: nx.Graph[int]) -> dict[int, frozenset[int]]:
    """Return a graph as the topology package has it."""
    return {node: frozenset(graph[node]) for node in graph}


def _by_time(entry: tuple[float, NodeId, Timer]) -> tuple[float, NodeId, str, StreamId]:
    at, node, timer = entry
    return at, node, timer.kind.value, timer.stream_id
