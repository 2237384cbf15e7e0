"""The contract's nodes in memory: see `world`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import networkx as nx
import numpy as np

from flwr_digest.core.events import MessageReceived
from flwr_digest.core.ids import Link, NodeId, link
from flwr_digest.core.messages import Hop, Receipt
from flwr_digest.core.node import Node
from flwr_digest.core.station import Station
from flwr_digest.core.stream import Stream
from flwr_digest.errors import RemoteProtocolError
from flwr_digest.topology import build_topology
from tests.support.contract import Fault, Setup, nodes_of
from tests.support.world import STREAM, Wire, World

VISITS = 3  # at each node in one `train`
MOST_EVENTS = 20_000  # what a train of a few nodes takes is some hundreds
KINDS = {Fault.LOSE_HOP: Hop, Fault.DOUBLE_HOP: Hop, Fault.LOSE_RECEIPT: Receipt}


class InMemory:
    """A company of cores without threads and without a clock."""

    real_time = False

    def __init__(self, setup: Setup) -> None:
        nodes = nodes_of(setup)
        near = build_topology(setup.topology, nodes, seed=0)
        graph: nx.Graph[int] = nx.Graph()
        graph.add_edges_from((node, peer) for node, peers in near.items() for peer in peers)
        self.world = World(graph=graph, shards=setup.shards, regions=setup.regions)
        self._faults: list[Fault] = []
        self._mute: set[Link] = set()
        self._counts = Counter[str]()
        for node in map(NodeId, setup.absent):
            self.world.crash(node)  # before anything was sent to it
            del self.world.saved[node]

    # --- time ---------------------------------------------------------------------------------

    def train(self) -> None:
        """See `Company`."""
        seen = {node: self._visits(node) for node in self.world.nodes}
        for _ in range(MOST_EVENTS):
            waiting = [n for n in seen if self._visits(n) < seen[n] + VISITS]
            if not waiting and not self._faults:
                return
            for node in self.world.nodes:
                if self.world.work.made[node, self.world.lives[node]] < self._visits(node) * 2 + 2:
                    self.world.train(node)
            self._next()
        raise AssertionError(f"no stream comes to {waiting}; {self._faults} did not happen")

    def end(self) -> None:
        """See `Company`."""
        for node in list(self.world.nodes):
            self.world.finish(node)
        for _ in range(MOST_EVENTS):
            alive = self.world.nodes.values()
            if all(node.closed for node in alive) and not self.world.under_way:
                break
            self._next()
        else:
            raise AssertionError("the session does not end")
        self.world.work.check_end(list(self.world.nodes.values()))
        assert self.world.all_forfeited() == 0

    def _next(self) -> None:
        world = self.world
        world.under_way = [
            w for w in world.under_way if link(w.sender, w.receiver) not in self._mute
        ]
        if not world.under_way or world._timer_is_due():
            world.fire_next_timer()
            return
        match self._befalls(world.under_way[0]):
            case Fault.DOUBLE_HOP:
                world.deliver(0, keep=True)
            case None:
                world.deliver(0)
            case _:
                world.drop(0)

    def _befalls(self, wire: Wire) -> Fault | None:
        for fault in self._faults:
            if isinstance(wire.message, KINDS[fault]):
                self._faults.remove(fault)
                return fault
        return None

    def _visits(self, node: NodeId) -> int:
        """Return how often the stream that was here least was here."""
        members = self.world.nodes[node].members.values()
        return min(station.counters.visits for station in members)

    # --- what befalls it ----------------------------------------------------------------------

    def cut(self, one: int, other: int) -> None:
        """See `Company`."""
        self.world.cut(NodeId(one), NodeId(other))

    def mute(self, one: int, other: int) -> None:
        """See `Company`."""
        self._mute.add(link(NodeId(one), NodeId(other)))

    def heal(self, one: int, other: int) -> None:
        """See `Company`."""
        self._mute.discard(link(NodeId(one), NodeId(other)))
        self.world.connect(NodeId(one), NodeId(other))

    def befall(self, fault: Fault) -> None:
        """See `Company`."""
        self._faults.append(fault)

    def kill(self, node: int) -> None:
        """See `Company`."""
        self._counts += _counts_of(self.world.nodes[NodeId(node)])
        self.world.crash(NodeId(node))

    def restart(self, node: int, *, with_state: bool) -> None:
        """See `Company`."""
        self.world.restart(NodeId(node), with_state=with_state)

    def leave(self, node: int) -> None:
        """See `Company`."""
        self.kill(node)

    def join(self, node: int) -> None:
        """See `Company`."""
        self.world.restart(NodeId(node), with_state=False)

    def intrude(self, node: int, target: int) -> str:
        """See `Company`."""
        wrong = np.zeros(len(self.world.initial) + 1, dtype=np.float32)
        message = Hop(stream=Stream(stream_id=STREAM, model=wrong, hop=10**6))
        try:
            self.world.happen(NodeId(target), MessageReceived(peer=NodeId(node), message=message))
        except RemoteProtocolError as error:
            return str(error)
        return ""

    # --- what came of it ----------------------------------------------------------------------

    def counts(self) -> Counter[str]:
        """See `Company`."""
        alive = map(_counts_of, self.world.nodes.values())
        return sum(alive, start=self._counts)

    def visited_since(self, node: int) -> bool:
        """See `Company`."""
        life = self.world.lives[NodeId(node)]
        visits = (s.kept.last_visit(NodeId(node)) for s in self._stations_of(NodeId(node)))
        return all(visit.life == life and visit.steps > 0 for visit in visits)

    def _stations_of(self, node: NodeId) -> list[Station]:
        return list(self.world.nodes[node].members.values())


def _counts_of(node: Node) -> Counter[str]:
    counts = Counter[str]()
    for station in node.stations.values():
        counts.update(asdict(station.counters))
    return counts
