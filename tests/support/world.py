"""A world for cores: nodes wired together in memory, with every fault at the caller's command.

No threads and no clock: messages wait in a bag until someone delivers, drops or doubles them, and
time is whatever the next timer says. So one seed is one history.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import networkx as nx
import numpy as np

from flwr_digest.core.config import NodeConfig
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
from flwr_digest.core.ids import Link, NodeId, StreamId, link
from flwr_digest.core.invariants import UnitWork, check_station
from flwr_digest.core.messages import Hop, Message
from flwr_digest.core.node import Node
from flwr_digest.core.state import StationState, first_state
from flwr_digest.core.vector import Vector

STREAM = StreamId(0)
MOST_LIVES = 4
MOST_NODES = 8
LATENCY_SECONDS = 0.01


@dataclass
class Wire:
    """A message under way."""

    sender: NodeId
    receiver: NodeId
    message: Message


@dataclass
class World:
    """Nodes of one plan, the messages under way between them, and all that can befall them."""

    graph: nx.Graph[int]
    local_steps: int = 0
    seed: int = 0
    now: float = 0.0
    under_way: list[Wire] = field(default_factory=list)
    nodes: dict[NodeId, Node] = field(default_factory=dict)
    saved: dict[NodeId, dict[StreamId, StationState]] = field(default_factory=dict)
    models: dict[NodeId, Vector] = field(default_factory=dict)
    timers: dict[NodeId, dict[Timer, float]] = field(default_factory=dict)
    up: set[Link] = field(default_factory=set)
    finished: set[NodeId] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    forfeited_steps: int = 0
    capped: bool = False
    """Whether a node had to forget history that it would have kept, were there no bound."""
    begun_anew: bool = False
    """Whether newcomers among themselves have re-issued the initial model in a later session."""
    watch: Callable[[World, NodeId, Event | Effect], None] = lambda world, node, what: None
    """Told of every event before a node handles it, and of every effect before it is done."""

    def __post_init__(self) -> None:
        self.members = [NodeId(node) for node in sorted(self.graph)]
        self.weight = 1 / len(self.members)
        size = MOST_LIVES * max(MOST_NODES, len(self.members))
        self.work = UnitWork(size, self.weight)
        self.initial = np.zeros(size, dtype=np.float32)
        self.lives = dict.fromkeys(self.members, 0)
        self.start, self.generation = self.members[0], 0
        for node in self.members:
            self.boot(node, with_state=False)
        for one, other in self.graph.edges:
            self.connect(NodeId(one), NodeId(other))

    # --- what a driver does -------------------------------------------------------------------

    def boot(self, node: NodeId, *, with_state: bool) -> None:
        """Start a node: from what it had, or empty, as a new life."""
        states = self.saved.get(node) if with_state else None
        if states is None:
            self.lives[node] = self.lives.get(node, 0) + 1
            self.work.begin(node, self.lives[node])
            states = {STREAM: first_state(STREAM, self.initial, self.lives[node])}
        topology = {NodeId(n): frozenset(map(NodeId, self.graph[n])) for n in self.graph}
        config = NodeConfig(
            node_id=node,
            topology=topology,
            streams={STREAM: self.start},
            weight=self.weight,
            local_steps=self.local_steps,
            seed=self.seed,
            generation=self.generation,
        )
        self.nodes[node], self.timers[node] = Node(config, states), {}
        self.models[node] = states[STREAM].kept.model
        self.happen(node, SessionStarted())
        if node in self.finished:
            self.happen(node, TrainingFinished())

    def happen(self, node: NodeId, event: Event) -> None:
        """Hand an event to a node, carry out its effects, and check the node."""
        self.watch(self, node, event)
        station = self.nodes[node].stations[STREAM]
        before = set(station.account.applied)
        for effect in self.nodes[node].handle(event, self.now):
            self.watch(self, node, effect)
            self._carry_out(node, effect)
        check_station(station)
        kept = set(station.account.applied)
        self.capped |= any(number > min(kept) for number in before - kept)
        exact = not self.all_forfeited()
        self.work.check_copy(station.kept, exact=exact)

    def _carry_out(self, node: NodeId, effect: Effect) -> None:
        match effect:
            case Send(peer=peer, message=message):
                if link(node, peer) in self.up:
                    self.under_way.append(Wire(node, peer, message))
            case SetTimer(timer=timer, at=at):
                self.timers[node][timer] = at
            case CancelTimer(timer=timer):
                self.timers[node].pop(timer, None)
            case Rebase(model=model):
                self.models[node] = model
            case Notice(kind=kind):
                self.log.append(f"{node}: {kind.value}")
                never_visited = self.nodes[node].stations[STREAM].kept.hop == 1  # only by itself
                if kind is NoticeKind.REISSUED and never_visited and self.generation:
                    self.begun_anew = True
            case AwaitSteps() | StreamClosed():
                pass  # every local step is handed in at once; `closed` says the rest

    # --- what can happen ----------------------------------------------------------------------

    def train(self, node: NodeId, steps: int = 1) -> None:
        """Let a node make unit steps."""
        for _ in range(steps):
            displacement = self.work.step(node, self.lives[node])
            self.models[node] = self.models[node] + displacement
            event = LocalSteps(stream_id=STREAM, steps=1, displacement=displacement)
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
        self.forfeited_steps += self.nodes[node].stations[STREAM].counters.forfeited_steps
        del self.nodes[node]

    def restart(self, node: NodeId, *, with_state: bool) -> None:
        """Start a crashed node again, and its links."""
        self.boot(node, with_state=with_state)
        for peer in map(NodeId, self.graph[node]):
            self.connect(node, peer)

    def believe_lost(self, node: NodeId) -> None:
        """Let a node lose its patience with the stream at once, rightly or not."""
        for kind in (TimerKind.LOST, TimerKind.ANSWERS):
            self.happen(node, TimerFired(timer=Timer(kind=kind, stream_id=STREAM)))

    def fire_next_timer(self) -> None:
        """Let time pass until the next timer, and fire it."""
        due = [(at, node, t) for node in self.nodes for t, at in self.timers[node].items()]
        if due:
            at, node, timer = min(due, key=lambda entry: (entry[0], entry[1], entry[2].kind.value))
            self.now = max(self.now, at)
            del self.timers[node][timer]
            self.happen(node, TimerFired(timer=timer))

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
            if self.under_way:
                self.deliver(0)
            else:
                self.fire_next_timer()
        raise AssertionError(f"the session did not end within {most_events} events")

    def next_session(self, graph: nx.Graph[int] | None = None) -> None:
        """End the session where it stands and begin another, as a broker would.

        With another graph, its nodes are the new members: some may be new, others may have left.
        """
        for node in list(self.nodes):
            self._put_away(node)
        self.up.clear()  # for all at once: nobody sees the others leave
        self.under_way.clear()
        if graph is not None:
            self.graph = graph
            self.members = [NodeId(node) for node in sorted(graph)]
        stations = {n: self.saved[n][STREAM] for n in self.members if n in self.saved}
        self.start = max(stations, key=lambda node: stations[node].kept.order)
        self.generation = max(state.highest.generation for state in stations.values())
        self.finished.clear()
        for node in self.members:
            self.boot(node, with_state=True)
        for one, other in self.graph.edges:
            self.connect(NodeId(one), NodeId(other))

    def newest_holder(self) -> NodeId:
        """Return which node, dead or alive, a member or not, keeps the newest copy."""
        states = {**self.saved, **{node: alive.states for node, alive in self.nodes.items()}}
        return max(states, key=lambda node: states[node][STREAM].kept.order)

    def closing(self) -> bool:
        """Whether anyone has begun the last tour of the session."""
        return any(
            node.closed or node.stations[STREAM].kept.closing for node in self.nodes.values()
        )

    def all_forfeited(self) -> int:
        """How many steps were given up so far, by the counters of all nodes, dead ones too."""
        return self.forfeited_steps + sum(
            node.stations[STREAM].counters.forfeited_steps for node in self.nodes.values()
        )

    def hops_under_way(self) -> int:
        """How many copies of the stream are travelling."""
        return sum(isinstance(wire.message, Hop) for wire in self.under_way)
