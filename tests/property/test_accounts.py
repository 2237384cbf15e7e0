"""Random histories with every fault there is: no step is counted twice, none is lost unseen."""

from __future__ import annotations

import os

import networkx as nx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flwr_digest.core.ids import NodeId
from flwr_digest.core.walk import Walk
from tests.support.world import MOST_LIVES, MOST_NODES, World

INDEX = st.integers(min_value=0, max_value=10**6)
SHAPE = st.sampled_from(["path", "star", "ring", "small-world"])
SEED = st.integers(0, 2**32)
MOST_SESSIONS = 3  # in one history; the teardown adds another


def any_graph(count: int, shape: str, seed: int) -> nx.Graph[int]:
    """Return a connected graph of one of the shapes that tours find hard in different ways."""
    graph: nx.Graph[int]
    if shape == "small-world" and count > 3:
        graph = nx.connected_watts_strogatz_graph(count, 2, 0.4, seed=seed)
    elif shape == "path" or count == 1:
        graph = nx.path_graph(count)
    elif shape == "star":
        graph = nx.star_graph(count - 1)
    else:
        graph = nx.cycle_graph(count)
    return graph


def graph_of(members: set[int], shape: str, seed: int) -> nx.Graph[int]:
    """Return a connected graph of these nodes."""
    graph = any_graph(len(members), shape, seed)
    return nx.relabel_nodes(graph, dict(enumerate(sorted(members))))


class Histories(RuleBasedStateMachine):
    """Nodes that train while their network, their peers and their patience fail them."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()  # or no history would be long enough for a rate
        self.patch.setattr("flwr_digest.core.shard.RATE_WINDOW_STEPS", 2)

    @initialize(
        count=st.integers(2, 7),
        shape=SHAPE,
        local_steps=st.integers(0, 3),
        shards=st.sampled_from([1, 1, 2]),
        regions=st.sampled_from([1, 1, 2, 3, 6]),
        drift_correction=st.booleans(),
        walk=st.sampled_from(Walk),
        seed=SEED,
    )
    def build(
        self,
        count: int,
        shape: str,
        local_steps: int,
        shards: int,
        regions: int,
        drift_correction: bool,
        walk: Walk,
        seed: int,
    ) -> None:
        self.world = World(
            graph=any_graph(count, shape, seed),
            local_steps=local_steps,
            seed=seed,
            shards=shards,
            regions=min(regions, count - 1),
            drift_correction=drift_correction,
            walk=walk,
        )
        self.sessions, self.regions = 1, regions

    def pick(self, index: int, *, alive: bool = True) -> NodeId | None:
        nodes = [n for n in self.world.members if (n in self.world.nodes) == alive]
        return nodes[index % len(nodes)] if nodes else None

    def pick_wire(self, index: int) -> int:
        return index % len(self.world.under_way)

    @rule(index=INDEX, steps=st.integers(1, 4))
    def local_steps(self, index: int, steps: int) -> None:
        node = self.pick(index)
        if node is not None and node not in self.world.finished:
            self.world.train(node, steps)

    @precondition(lambda self: self.world.under_way)
    @rule(index=INDEX, count=st.integers(1, 6))
    def deliver(self, index: int, count: int) -> None:
        for _ in range(count):
            if self.world.under_way:
                self.world.deliver(self.pick_wire(index))  # any one: they overtake each other

    @precondition(lambda self: self.world.under_way)
    @rule(index=INDEX)
    def deliver_twice(self, index: int) -> None:
        self.world.deliver(self.pick_wire(index), keep=True)

    @precondition(lambda self: self.world.under_way)
    @rule(index=INDEX)
    def drop(self, index: int) -> None:
        self.world.drop(self.pick_wire(index))

    @precondition(lambda self: self.world.graph.edges)
    @rule(index=INDEX)
    def cut_or_connect(self, index: int) -> None:
        edges = sorted(self.world.graph.edges)
        one, other = map(NodeId, edges[index % len(edges)])
        if (min(one, other), max(one, other)) in self.world.up:
            self.world.cut(one, other)
        else:
            self.world.connect(one, other)

    @rule(index=INDEX)
    def crash(self, index: int) -> None:
        node = self.pick(index)
        if node is not None:
            self.world.crash(node)

    @rule(index=INDEX, with_state=st.booleans())
    def restart(self, index: int, with_state: bool) -> None:
        node = self.pick(index, alive=False)
        if node is not None:
            fresh = self.world.lives[node] < MOST_LIVES and not with_state
            self.world.restart(node, with_state=not fresh)

    @rule(index=INDEX)
    def believe_lost(self, index: int) -> None:
        node = self.pick(index)
        if node is not None:
            self.world.believe_lost(node, index)

    @rule()
    def time_passes(self) -> None:
        self.world.fire_next_timer()

    @rule(index=INDEX)
    def finish(self, index: int) -> None:
        node = self.pick(index)
        if node is not None:
            self.world.finish(node)

    @precondition(lambda self: self.sessions < MOST_SESSIONS)
    @rule(members=st.sets(st.integers(0, MOST_NODES - 1)), shape=SHAPE, seed=SEED)
    def another_session(self, members: set[int], shape: str, seed: int) -> None:
        """Go on with other members: some have left, others are new, or come back."""
        self.sessions += 1
        if self.regions > 1:  # they are made for the nodes they have
            return self.world.next_session()
        members.add(self.world.newest_holder())  # who has left with it has forked the stream
        self.world.next_session(graph_of(members, shape, seed))

    @precondition(lambda self: self.sessions < MOST_SESSIONS and self.regions > 1)
    @rule(members=st.sets(st.integers(0, MOST_NODES - 1)), shape=SHAPE, seed=SEED)
    def new_epoch(self, members: set[int], shape: str, seed: int) -> None:
        """Go on with other members, and with other regions for them, if they can begin so."""
        self.sessions += 1
        members.add(min(self.world.members))
        graph = graph_of(members, shape, seed)
        self.world.next_session(graph, regions=min(self.regions, max(1, len(members) - 1)))

    @invariant()
    def travelling_copies_are_exact(self) -> None:
        for wire in self.world.under_way:
            if (stream := getattr(wire.message, "stream", None)) is not None:
                self.world.check_copy(stream)

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.end_well()
        finally:
            self.patch.undo()

    def end_well(self) -> None:
        """Whatever happened: this session ends, and the next unites the work of all nodes."""
        if not self.world.closing():  # else some may rightly have given up on others
            self.world.finish_session()
            self.check_end()
        self.world.next_session()
        self.world.finish_session()
        self.check_end()

    def check_end(self) -> None:
        exact = not self.world.all_forfeited()
        self.world.work.check_end(list(self.world.nodes.values()), exact=exact)


class OrdinaryHistories(Histories):
    """The same, but whoever comes back has its state: then nobody's work may be given up.

    Two things may force it: a history of more visits than `most_history` allows to remember, and
    newcomers with none but newcomers for neighbors, who begin anew with the initial model.
    """

    @rule(index=INDEX, with_state=st.just(True))
    def restart(self, index: int, with_state: bool) -> None:
        node = self.pick(index, alive=False)
        if node is not None:
            self.world.restart(node, with_state=with_state)

    @precondition(lambda self: not self.world.closing())
    @rule(members=st.sets(st.integers(0, MOST_NODES - 1)), shape=SHAPE, seed=SEED)
    def new_epoch(self, members: set[int], shape: str, seed: int) -> None:
        """Begin it after a session that has closed."""
        if self.regions > 1 and self.sessions < MOST_SESSIONS:
            self.world.finish_session()
            self.check_end()
            super().new_epoch(members, shape, seed)

    @invariant()
    def nothing_is_given_up(self) -> None:
        excused = self.world.capped or self.world.begun_anew
        assert excused or self.world.all_forfeited() == 0

    def check_end(self) -> None:
        self.nothing_is_given_up()
        super().check_end()


class UnboundedHistories(OrdinaryHistories):
    """The same again, with room for every visit: then the first exception is none."""

    def __init__(self) -> None:
        super().__init__()
        self.patch.setattr("flwr_digest.core.account.LEAST_HISTORY", 10**6)

    @invariant()
    def nothing_is_forgotten_too_early(self) -> None:
        assert not self.world.capped


def histories(count: int) -> settings:
    """Return how many histories are tried: `make histories` multiplies them."""
    return settings(
        max_examples=count * int(os.environ.get("HISTORIES_TIMES", "1")),
        stateful_step_count=60,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


TestHistories = Histories.TestCase
TestHistories.settings = histories(500)
TestOrdinaryHistories = OrdinaryHistories.TestCase
TestOrdinaryHistories.settings = histories(250)
TestUnboundedHistories = UnboundedHistories.TestCase
TestUnboundedHistories.settings = histories(100)
