"""A real session of some nodes on a ring, in threads of this process, for as long as wanted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Condition

import numpy as np

from flwr_digest.benches.pacing import Line, PacedLink
from flwr_digest.benches.sessions import bench_session
from flwr_digest.core.ids import NodeId, ShardId
from flwr_digest.core.layout import Entry, Layout
from flwr_digest.core.trainer import Taken, Trainer
from flwr_digest.core.vector import Vector
from flwr_digest.errors import DigestError
from flwr_digest.launch.ports import LOOPBACK, free_ports
from flwr_digest.overlay.session import Session
from flwr_digest.topology import build_topology

LINK_SECONDS = 30.0  # a guess: for all nodes to link, on a busy machine


class CountingTrainer:
    """Has made one local step whenever a stream comes, and counts the visits of each shard."""

    def __init__(self, values: int) -> None:
        self._moved = np.full(values, 1e-6, dtype=np.float32)
        self._slices: Sequence[slice] = [slice(0, values)]
        self._changed = Condition()
        self._visits: Counter[ShardId] = Counter()

    def visits(self) -> int:
        """Return how often shards have visited, all together."""
        with self._changed:
            return self._visits.total()

    def await_visits(self, count: int, seconds: float) -> None:
        """Wait until each shard has visited so often.

        Raises
        ------
        DigestError
            They have not within `seconds`.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.least_visits() >= count, seconds):
                raise DigestError(f"a stream came {self.least_visits()} times in {seconds:g} s")

    def least_visits(self) -> int:
        """Return how often the shard has visited that came least."""
        with self._changed:
            return min(self._visits[ShardId(n)] for n in range(len(self._slices)))

    def divide(self, slices: Sequence[slice], *, drift_correction: bool) -> None:
        """Note the shards."""
        self._slices = slices

    def take(self, shard: ShardId) -> Taken | None:
        """Return a local step."""
        return Taken(1, self._moved[self._slices[shard]])

    def rebase(self, shard: ShardId, model: Vector, correction: Vector | None) -> None:
        """Count a visit."""
        with self._changed:
            self._visits[shard] += 1
            self._changed.notify_all()

    def uncorrect(self) -> None:
        """There are no corrections."""

    def wake_after(self, shard: ShardId, steps: int, wake: Callable[[], None]) -> None:
        """Steps are there at once."""
        wake()

    def fail(self, error: BaseException) -> None:
        """Nobody trains; the session tells."""


@dataclass(frozen=True, kw_only=True)
class Ring:
    """Nodes in a ring, and the streams of a model cut into shards; plaintext links.

    Attributes
    ----------
    nodes : int
        How many, 3 or more.
    values : int
        float32 values of the model.
    shards : int
        Streams; each starts one node further along the ring.
    line : Line or None
        What each link is like; None: as fast as this machine.
    """

    nodes: int
    values: int
    shards: int = 1
    line: Line | None = None
    graph: dict[NodeId, frozenset[NodeId]] = field(init=False)

    def __post_init__(self) -> None:
        graph = build_topology("ring", list(range(self.nodes)), seed=0)
        found = {NodeId(n): frozenset(map(NodeId, near)) for n, near in graph.items()}
        object.__setattr__(self, "graph", found)

    @contextmanager
    def running(self, trainers: Sequence[Trainer]) -> Iterator[list[Session]]:
        """Run a session of all nodes; on leaving, all its threads and sockets are gone.

        Raises
        ------
        DigestError
            Nodes do not link.
        """
        addresses = [f"{LOOPBACK}:{port}" for port in free_ports(self.nodes)]
        with ExitStack() as stack:
            dialled = self._dialled(addresses, stack)
            sessions = [
                self._session(node, addresses[node], dialled, trainers[node]) for node in self.graph
            ]
            for session in sessions:
                stack.enter_context(session)
            end = time.monotonic() + LINK_SECONDS
            for session in sessions:
                if session.await_neighbors(end - time.monotonic()):
                    raise DigestError(f"not all nodes linked within {LINK_SECONDS:g} s")
            yield sessions

    def _dialled(
        self, addresses: Sequence[str], stack: ExitStack
    ) -> dict[tuple[NodeId, NodeId], str]:
        """Return where each node finds its neighbors: at the ends of paced links, if so wanted."""
        found = {}
        for node, near in self.graph.items():
            for peer in near:
                address = addresses[peer]
                if self.line is not None and node < peer:  # the lower one dials
                    address = stack.enter_context(PacedLink(address, self.line)).address
                found[node, peer] = address
        return found

    def _session(
        self,
        node: NodeId,
        address: str,
        dialled: dict[tuple[NodeId, NodeId], str],
        trainer: Trainer,
    ) -> Session:
        return bench_session(
            node,
            listen=address,
            peers={peer: dialled[node, peer] for peer in self.graph[node]},
            graph=self.graph,
            layout=Layout((Entry("weights", (self.values,)),)),
            shards=self.shards,
            trainer=trainer,
        )
