"""Real sessions in threads of one process: every node has its own gRPC server, links and trainer.

Work is done in unit steps (see `UnitWork`), so the models themselves say whose steps they contain.
Each shard has a coordinate for each node, and a step moves all shards alike. The gradient of each
step is its displacement, so a node's rate is 1 at its own coordinate.
Nobody sleeps: a training loop makes its steps in rounds, and a round ends when a stream has come
by, or when the loop's patience ends.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Condition, Event, Thread
from threading import enumerate as enumerate_threads

import numpy as np

from flwr_digest.core.address import NOWHERE
from flwr_digest.core.config import StreamPlan
from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.core.invariants import UnitWork
from flwr_digest.core.layout import Entry, Layout
from flwr_digest.core.plan import Peer, Plan
from flwr_digest.core.shards import shard_slices
from flwr_digest.core.state import StationState, first_state, for_new_session
from flwr_digest.core.trainer import Taken
from flwr_digest.core.vector import Vector
from flwr_digest.launch.ports import LOOPBACK
from flwr_digest.overlay.identity import Identity, new_identity
from flwr_digest.overlay.link import LOGGER
from flwr_digest.overlay.session import Session, SessionReport
from flwr_digest.topology import build_topology
from flwr_digest.topology.regions import split_into_regions
from tests.support.places import reserved_ports

STREAM = StreamId(0)
LIFE = 1
# Last resorts: all waits are for events, and on an idle machine take some milliseconds.
LONGEST_SECONDS = 60.0
QUICK_SECONDS = 30.0  # half of that: a wait that was to be spared would take longer
JOIN_SECONDS = 120.0
MOST_SECONDS = 300.0  # past that a node hangs


class UnitTrainer:
    """A trainer whose local steps are unit steps of one node, the same in every shard."""

    def __init__(self, work: UnitWork, node: NodeId, initial: Vector, life: int = LIFE) -> None:
        self.model = initial
        self.failure: BaseException | None = None
        self.corrections: dict[ShardId, Vector] = {}
        self._work, self._node, self._life = work, node, life
        self._changed = Condition()
        self._visits = 0
        self._hopeless = False
        self._slices: Sequence[slice] = [slice(0, len(initial))]
        self._drift_correction = False
        self._pending = np.zeros_like(initial)
        self._steps = 0
        self._taken: dict[ShardId, int] = {}
        self._wakes: dict[tuple[int, ShardId], Callable[[], None]] = {}

    # --- the training thread ------------------------------------------------------------------

    def step(self) -> None:
        """Make one local step."""
        with self._changed:
            if self.failure is not None:
                raise self.failure
            shards = len(self.model) // self._work.size
            displacement = np.tile(self._work.step(self._node, self._life), shards)
            self.model = self.model + displacement
            self._pending = self._pending + displacement
            self._steps += 1
            due = self._due_wakes()
        for wake in due:
            wake()

    def await_visit(self, seen: int, seconds: float = LONGEST_SECONDS) -> bool:
        """Wait until more than `seen` visits have been made, as long as there is hope of them."""
        return self.await_that(lambda: self._visits > seen or self._hopeless, seconds)

    def expect_no_visits(self) -> None:
        """Let nobody wait for visits any more."""
        with self._changed:
            self._hopeless = True
            self._changed.notify_all()

    def await_that(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for something that a visit may bring about; return whether it came."""
        with self._changed:
            self._changed.wait_for(lambda: condition() or self.failure is not None, seconds)
            return condition()

    @property
    def visits(self) -> int:
        """How often a shard of the model was rebased."""
        return self._visits

    # --- the overlay's thread -----------------------------------------------------------------

    def divide(self, slices: Sequence[slice], *, drift_correction: bool) -> None:
        """Note the shards of the session."""
        self._slices, self._drift_correction = slices, drift_correction

    def take(self, shard: ShardId) -> Taken | None:
        """Return the steps since the last call for this shard."""
        with self._changed:
            steps = self._steps - self._taken.get(shard, 0)
            if not steps:
                return None
            place = self._slices[shard]
            displacement = self._pending[place].copy()
            self._pending[place] = 0.0
            self._taken[shard] = self._steps
            return Taken(steps, displacement, displacement if self._drift_correction else None)

    def rebase(self, shard: ShardId, model: Vector, correction: Vector | None) -> None:
        """Go on from `model`; a test may put something that fails in this method's place."""
        with self._changed:
            place = self._slices[shard]
            self.model = self.model.copy()
            self.model[place] = model + self._pending[place]
            if correction is not None:
                self.corrections[shard] = correction
            self._visits += 1
            self._changed.notify_all()

    def uncorrect(self) -> None:
        """Forget the corrections of all shards."""
        with self._changed:
            self.corrections.clear()

    def wake_after(self, shard: ShardId, steps: int, wake: Callable[[], None]) -> None:
        """Call `wake` once that many steps were made since the last `take` of the shard."""
        with self._changed:
            self._wakes[self._taken.get(shard, 0) + steps, shard] = wake
            due = self._due_wakes()
        for call in due:
            call()

    def fail(self, error: BaseException) -> None:
        """Let the next step raise `error`."""
        with self._changed:
            self.failure = error
            self._changed.notify_all()

    def _due_wakes(self) -> list[Callable[[], None]]:
        return [self._wakes.pop(key) for key in list(self._wakes) if key[0] <= self._steps]


@dataclass(kw_only=True)
class Member:
    """One node of a `Company`, and what became of it."""

    session: Session
    trainer: UnitTrainer
    rounds: int
    steps: int
    join_seconds: float
    unlinked: dict[NodeId, str] = field(default_factory=dict)
    """See `Company.expect_no_link`."""

    others: Mapping[NodeId, Member] = field(default_factory=dict)
    """All members of the company."""

    listens: Event = field(default_factory=Event)
    """Set once others can look at it."""

    looked: Event = field(default_factory=Event)
    """Set once it knows who is there and why others are not."""

    on_round: Callable[[int], None] = lambda number: None
    """Called from the training thread at the start of each round; may raise."""

    error: BaseException | None = None
    missed: frozenset[NodeId] = frozenset()
    leave_seconds: float = 0.0

    def run(self) -> None:
        """Take part in the session, from the first link to the last goodbye."""
        began = time.monotonic()
        try:
            with self.session:
                self.listens.set()
                try:
                    self._train()
                finally:
                    began = time.monotonic()
                    self.looked.set()
        except Exception as error:  # noqa: BLE001 - it is the test that judges it
            self.listens.set()
            self.looked.set()
            self.error = error
        self.leave_seconds = time.monotonic() - began

    def _look(self) -> None:
        """Wait for the neighbors, or until it is known why they cannot be reached."""
        if not self.unlinked:
            self.missed = self.session.await_neighbors(self.join_seconds)
            return
        assert all(other.listens.wait(self.join_seconds) for other in self.others.values())
        assert eventually(self._has_found_out, self.join_seconds), self._troubles()
        self.missed = self.session.await_neighbors(0.0)
        self.looked.set()
        # The others look for this one, too: it must not be gone before they have.
        assert all(other.looked.wait(self.join_seconds) for other in self.others.values())

    def _has_found_out(self) -> bool:
        session = self.session
        missing = session.neighbors - self.unlinked.keys()
        told = self._troubles()
        return missing <= session.driver.links.keys() and all(
            words in told[peer] for peer, words in self.unlinked.items()
        )

    def _troubles(self) -> dict[NodeId, str]:
        return {peer: self.session.neighborhood.trouble_with(peer) for peer in self.unlinked}

    def _train(self) -> None:
        self._look()
        self.looked.set()
        for number in range(self.rounds):
            self.on_round(number)
            seen = self.trainer.visits
            for _ in range(self.steps):
                self.trainer.step()
            self.trainer.await_visit(seen)
        self.session.finish_training()
        self.session.check()

    @property
    def report(self) -> SessionReport:
        """The session in figures."""
        return self.session.report()


@dataclass(kw_only=True)
class Company:
    """Plans, identities and trainers of all the nodes of one session."""

    count: int
    topology: str = "ring"
    insecure: bool = False
    sockets: Path | None = None
    """A folder for unix sockets; None: TCP over loopback."""

    rounds: int = 4
    steps: int = 3
    local_steps: int = 0
    start: int = 0
    """Where the stream starts; of several, the first."""

    size: int = 64
    """Values of one shard."""

    shards: int = 1
    regions: int = 1
    drift_correction: bool = False
    session: str = "a session"
    session_seconds: float = MOST_SECONDS
    join_seconds: float = JOIN_SECONDS
    most_seconds: float = MOST_SECONDS
    members: dict[NodeId, Member] = field(default_factory=dict)
    dialled_at: dict[tuple[NodeId, NodeId], str] = field(default_factory=dict)
    """Where one node finds another, if not where that listens (a proxy, say)."""

    unlinked: dict[NodeId, dict[NodeId, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nodes = [NodeId(node) for node in range(self.count)]
        graph = build_topology(self.topology, self.nodes, seed=0)
        self.graph = {NodeId(n): frozenset(map(NodeId, near)) for n, near in graph.items()}
        self.work = UnitWork(self.size, 1 / self.count)
        self.addresses = dict(zip(self.nodes, self._free_addresses(), strict=True))
        self.identities = {} if self.insecure else {n: new_identity(n) for n in self.nodes}
        self.layout = Layout((Entry("weights", (self.shards * self.size,)),))
        self.streams = self._streams(graph)
        for node in self.nodes:
            self.work.begin(node, LIFE)

    def _streams(self, graph: Mapping[int, frozenset[int]]) -> dict[StreamId, StreamPlan]:
        found = {}
        for region, part in enumerate(split_into_regions(graph, self.regions)):
            members = sorted(map(NodeId, part))
            for shard in range(self.shards):
                found[StreamId(shard * self.regions + region)] = StreamPlan(
                    shard=ShardId(shard),
                    start=members[(self.start + shard) % len(members)],
                    members=frozenset(members),
                )
        return found

    def _free_addresses(self) -> list[str]:
        if self.sockets is not None:
            return [f"unix:{self.sockets / f'node-{node}.sock'}" for node in self.nodes]
        return [f"{LOOPBACK}:{port}" for port in reserved_ports(self, self.count)]

    # --- one node -----------------------------------------------------------------------------

    def identity(self, node: NodeId) -> Identity | None:
        """Return a node's key and certificate; None where links are plaintext."""
        return self.identities.get(node)

    def plan(self, node: NodeId) -> Plan:
        """Return a node's part of the plan, by way of JSON as the broker sends it."""
        plan = Plan(
            session=self.session,
            topology=self.graph,
            peers={peer: self._peer(node, peer) for peer in self.graph[node]},
            streams=self.streams,
            weight=1 / self.count,
            local_steps=self.local_steps,
            drift_correction=self.drift_correction,
            life=LIFE,
            seed=0,
            generation=0,
            session_seconds=self.session_seconds,
            insecure=self.insecure,
        )
        return Plan.from_json(plan.to_json())

    def _peer(self, node: NodeId, peer: NodeId) -> Peer:
        identity = self.identity(peer)
        certificate = identity.certificate.decode() if identity else ""
        address = self.dialled_at.get((node, peer), self.addresses[peer])
        return Peer(address=address, certificate=certificate)

    def add(
        self,
        node: NodeId,
        *,
        layout: Layout | None = None,
        states: Mapping[StreamId, StationState] | None = None,
        account_life: int = LIFE,
        **changes: object,
    ) -> Member:
        """Make a node ready to run; `changes` are made to its plan."""
        layout = layout or self.layout
        model = np.zeros(layout.size, dtype=np.float32)
        states = states or self.first_states(node, model, account_life)
        session = Session(
            node_id=node,
            plan=replace(self.plan(node), **changes),  # type: ignore[arg-type]
            layout=layout,
            identity=self.identity(node),
            listen=self.addresses[node],
            states={stream_id: self.ready(state) for stream_id, state in states.items()},
            trainer=(trainer := UnitTrainer(self.work, node, model, account_life)),
        )
        self.members[node] = Member(
            session=session,
            trainer=trainer,
            rounds=self.rounds,
            steps=self.steps,
            join_seconds=self.join_seconds,
            unlinked=self.unlinked.setdefault(node, {}),
            others=self.members,
        )
        return self.members[node]

    def expect_no_link(self, node: int, peer: int, words: str = "") -> None:
        """Let a node look for all its neighbors but this one, and not train before it has found
        out in these words why that cannot be reached; nor leave before all have looked.
        """
        self.unlinked.setdefault(NodeId(node), {})[NodeId(peer)] = words

    def expect_absent(self, absent: int, words: str = "") -> None:
        """Let no node wait for one that never comes; those that dial it shall have tried."""
        for node in self.graph[NodeId(absent)]:
            dialled = node < absent and self.addresses[NodeId(absent)] != NOWHERE
            self.expect_no_link(node, absent, words if dialled else "")

    def ready(self, state: StationState) -> StationState:
        """Return a state as a node enters the session with it."""
        return for_new_session(state, drift_correction=self.drift_correction)

    def first_states(
        self, node: NodeId, model: Vector, life: int = LIFE
    ) -> dict[StreamId, StationState]:
        """Return the states of the streams that a node is a member of, before the first visit."""
        slices = shard_slices(len(model), self.shards)
        return {
            stream_id: self.ready(first_state(stream_id, model[slices[stream.shard]], life))
            for stream_id, stream in self.streams.items()
            if node in stream.members
        }

    # --- all of them --------------------------------------------------------------------------

    def add_all(self, *, but: tuple[int, ...] = ()) -> Mapping[NodeId, Member]:
        """Make all nodes ready to run, except those that never come."""
        for node in self.nodes:
            if node not in but and node not in self.members:
                self.add(node)
        return self.members

    def run(self) -> None:
        """Run all nodes to their ends.

        Raises
        ------
        AssertionError
            A node hangs.
        """
        with self.running():
            pass

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run all nodes while the caller does something to them; leave when they have ended."""
        threads = {
            node: Thread(target=member.run, name=f"node-{node}", daemon=True)
            for node, member in self.members.items()
        }
        for thread in threads.values():
            thread.start()
        try:
            yield
        finally:
            end = time.monotonic() + self.most_seconds
            for thread in threads.values():
                thread.join(max(0.0, end - time.monotonic()))
        hanging = [node for node, thread in threads.items() if thread.is_alive()]
        assert not hanging, f"nodes {hanging} hang"

    def check(self, *but: int) -> None:
        """Check that all nodes but those ended in peace, with all their work in one model."""
        self.audit(*but)
        cores = [m.session.driver.node for node, m in self.members.items() if node not in but]
        self.work.check_end(cores)

    def audit(self, *but: int) -> None:
        """Check that no node but those failed, and that no copy holds a step twice or in part."""
        for node, member in self.members.items():
            if node not in but:
                assert member.error is None, f"node {node}: {member.error!r}"
                for stream_id, state in member.session.final_states.items():
                    self.work.check_copy(state.kept, self.streams[stream_id].members)

    def highest_generation(self) -> int:
        """Return the highest fence generation that any node has seen."""
        return max(
            state.highest.generation
            for member in self.members.values()
            for state in member.session.final_states.values()
        )

    def slowest_leave(self) -> float:
        """Return how many seconds the slowest node took from its last deed to its last thread."""
        return max(member.leave_seconds for member in self.members.values())


def linked(session: Session, peer: NodeId, seconds: float = JOIN_SECONDS) -> bool:
    """Wait until a session has a link to `peer`; return whether it came."""
    with session.driver.changed:
        return session.driver.changed.wait_for(lambda: peer in session.driver.links, seconds)


def eventually(condition: Callable[[], bool], seconds: float = JOIN_SECONDS) -> bool:
    """Wait for what nobody notifies, as gRPC's own clean-up; return whether it came."""
    end, pause = time.monotonic() + seconds, Event()
    while not condition():
        if time.monotonic() > end:
            return False
        pause.wait(0.01)
    return True


def overlay_threads() -> list[str]:
    """Return the names of all threads of all overlays in this process."""
    return [each.name for each in enumerate_threads() if each.name.startswith("flwr-digest")]


@contextmanager
def captured_log() -> Iterator[list[str]]:
    """Collect the overlay's log lines, whatever Flower has done to its loggers."""
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    collector, level = Collector(), LOGGER.level
    LOGGER.addHandler(collector)
    LOGGER.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        LOGGER.removeHandler(collector)
        LOGGER.setLevel(level)
