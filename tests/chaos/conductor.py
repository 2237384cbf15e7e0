"""Runs the processes of a chaos session, and lets faults happen to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from flwr_digest.core.ids import Link, NodeId
from tests.chaos.disks import Disk, mounts_work
from tests.chaos.following import Follower, Journals
from tests.chaos.journal import now
from tests.chaos.network import Network, network_for
from tests.chaos.process import NodeProcess
from tests.chaos.setup import Errand, Setup
from tests.support.overlay_session import LIFE

LAST_RESORT_SECONDS = 600.0  # all waits are for events; one that takes longer hangs


class HangError(AssertionError):
    """Something that must happen has not happened, or a process has failed."""


class Conductor:
    """Has the processes of one session. Use as a context manager: none outlives it.

    Parameters
    ----------
    setup : Setup
        The session.
    folder : Path
        For journals, logs and states.
    lossy, proxies, seed
        See `network_for`.
    small_disks : bool
        Whether each node needs a disk that can be filled.
    """

    def __init__(
        self,
        setup: Setup,
        folder: Path,
        *,
        lossy: bool = False,
        proxies: bool = False,
        small_disks: bool = False,
        seed: int = 0,
    ) -> None:
        self.setup, self.folder = setup, folder
        self.company = setup.company()
        self.graph = self.company.graph
        self.processes: dict[NodeId, NodeProcess] = {}
        self.journals: list[Path] = []
        self.gone: set[NodeId] = set()
        self._follower = Follower()
        self._down: Counter[Link] = Counter()
        self._told_full: set[NodeId] = set()
        self._end = ExitStack()
        self.network: Network = network_for(self.company, lossy=lossy, proxies=proxies, seed=seed)
        self._end.callback(self.network.close)
        real = small_disks and mounts_work(folder / "disk-try")
        self._disks = {n: Disk(folder / f"disk-{n}", real=real) for n in self.company.nodes}
        for disk in self._disks.values():
            self._end.callback(disk.close)

    def __enter__(self) -> Conductor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.processes.values():
            process.close()
        self._end.close()

    @property
    def seen(self) -> Journals:
        """What the processes have written so far."""
        return self._follower.seen

    @property
    def running(self) -> list[NodeId]:
        """The nodes whose processes are there, frozen ones too."""
        return sorted(node for node, each in self.processes.items() if not each.killed)

    @property
    def staying(self) -> list[NodeId]:
        """Those of them that were not told to leave."""
        return [node for node in self.running if node not in self.gone]

    # --- waiting ------------------------------------------------------------------------------

    def await_that(
        self, condition: Callable[[], bool], what: str, at_least_seconds: float = 0.0
    ) -> None:
        """Wait for something that the journals tell, or that takes its time.

        Raises
        ------
        HangError
            It has not come within the last resort, or a process has failed.
        """
        end = now() + max(0.0, at_least_seconds) + LAST_RESORT_SECONDS
        while True:
            self._follower.look()
            if condition():
                return
            self._check_processes()
            if now() > end:
                raise HangError(f"hangs: {what}")
            self._follower.pause()

    @property
    def time(self) -> float:
        """The time as journals have it."""
        return now()

    def await_time(self, at: float) -> None:
        """Let the session go on until then."""
        self.await_that(lambda: now() >= at, "the clock stands still", at - now())

    def logged(self, words: str) -> int:
        """Return how often the processes have logged these words."""
        logs = [path.with_suffix(".log").read_text(errors="replace") for path in self.journals]
        return sum(log.count(words) for log in logs)

    def _check_processes(self) -> None:
        for node, process in self.processes.items():
            if process.returncode and not process.killed:
                raise HangError(f"the process of node {node} has failed: {process.last_words()}")

    # --- nodes --------------------------------------------------------------------------------

    def start_all(self, *but: NodeId) -> None:
        """Start all nodes but those, and wait until they are linked with each other."""
        for node in reversed(self.company.nodes):  # the lower id dials: the other shall be there
            if node not in but:
                self.start(node)
        self.await_links(set(self.company.nodes) - set(but))

    def await_links(self, nodes: Iterable[NodeId]) -> None:
        """Wait until these nodes have all their links among each other."""
        there = set(nodes)

        def linked() -> bool:
            return all(self.graph[n] & there <= self.seen.links.get(n, frozenset()) for n in there)

        self.await_that(linked, f"nodes {sorted(there)} do not find each other")

    def start(self, node: NodeId, *, rejoining: bool = False) -> None:
        """Start a node's process, and go on when it has begun."""
        number = len(self.journals)
        journal = self.folder / f"{number:03}-node-{node}.jsonl"
        begun = self.seen.begun.get(node)
        errand = Errand(
            node=node,
            setup=self.setup,
            state=str(self._disks[node].state_of(node)),
            journal=str(journal),
            listen=self.network.listen(node),
            dialled={str(n): self.network.dialled(node, n) for n in self.graph[node]},
            life=LIFE if begun is None else begun.life + 1,
            rejoining=rejoining,
        )
        self.journals.append(journal)
        self._follower.follow(journal)
        log = journal.with_suffix(".log")
        self.processes[node] = NodeProcess(errand, self.network.prefix(node), log)
        if node in self._told_full:
            self.processes[node].tell("disk full")

    def kill(self, node: NodeId) -> None:
        """End a node's process without a word."""
        process = self.processes[node]
        process.kill()
        process.close()
        self._follower.leave(Path(process.errand.journal))

    def restart(self, node: NodeId, *, with_state: bool) -> None:
        """Bring a killed node back, and wait until it has begun."""
        if not with_state:
            self._disks[node].state_of(node).unlink(missing_ok=True)
        before = self.seen.begun.get(node)
        self.start(node, rejoining=True)
        self.await_that(
            lambda: self.seen.begun.get(node) is not before, f"node {node} does not come back"
        )

    def freeze(self, node: NodeId) -> None:
        """Let a node's process stand still, and go on when nothing more can come from it."""
        process = self.processes[node]
        process.freeze()
        self.await_that(lambda: process.stands_still, f"node {node} does not stop")

    def thaw(self, node: NodeId) -> None:
        """Let a frozen process go on."""
        self.processes[node].thaw()

    def slow(self, node: NodeId, factor: float) -> None:
        """Let each local step of a node take `factor` times as long; 1: as before."""
        self.processes[node].tell(f"slow {factor}")

    def leave(self, node: NodeId) -> None:
        """Let a node end its training early, say goodbye and go."""
        self.gone.add(node)
        self.processes[node].tell("leave")

    # --- what is broken, and mended ------------------------------------------------------------

    def cut(self, paths: Iterable[Link]) -> None:
        """Take links down; one that is cut twice must be healed twice."""
        for path in paths:
            self._down[path] += 1
            if self._down[path] == 1:
                self.network.cut(path)

    def heal(self, paths: Iterable[Link]) -> None:
        """Bring links up again."""
        for path in paths:
            self._down[path] -= 1
            if self._down[path] == 0:
                self.network.heal(path)

    def fill_disk(self, node: NodeId) -> None:
        """Leave no room on a node's disk."""
        if self._disks[node].real:
            self._disks[node].fill()
        else:
            self._told_full.add(node)
            self.processes[node].tell("disk full")

    def free_disk(self, node: NodeId) -> None:
        """Make room on a node's disk again."""
        if self._disks[node].real:
            self._disks[node].free()
        else:
            self._told_full.discard(node)
            self.processes[node].tell("disk free")

    # --- the end ------------------------------------------------------------------------------

    def settle(self, tours: int = 2) -> None:
        """Wait until all that is broken is mended, and every node is visited again."""
        self.await_links(self.staying)
        self.await_visits(tours)

    def await_visits(self, tours: int = 1) -> None:
        """Wait until each of its streams has come to each node so many times from now on."""
        self._follower.look()
        seen = len(self.seen.arrivals)
        wanted = {
            (stream_id, node)
            for stream_id, plan in self.company.streams.items()
            for node in plan.members
            if node in self.staying
        }

        def visited() -> bool:
            came = Counter((line.stream, line.node) for line in self.seen.arrivals[seen:])
            return all(came[s, n] >= tours for s, n in wanted)

        self.await_that(visited, "a stream does not come to all nodes any more")

    def finish(self) -> None:
        """End all training, and wait until every process has left by itself."""
        for node in self.running:
            self.processes[node].tell("finish")

        def ended() -> bool:
            return all(self.processes[node].returncode is not None for node in self.running)

        self.await_that(ended, f"nodes {self.running} do not end")
        self._follower.look()
        self._check_processes()
