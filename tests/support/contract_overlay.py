"""The contract's nodes with real sessions over gRPC on this machine, and a proxy in every link.

One thread trains all nodes, and asks where the streams have been; nobody sleeps. Each core is
checked after each event, in its own driver's thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread

import numpy as np

from flwr_digest.core.effects import Effect
from flwr_digest.core.events import Event, LocalSteps
from flwr_digest.core.ids import Link, NodeId, StreamId, link
from flwr_digest.core.invariants import check_station
from flwr_digest.core.messages import Hop
from flwr_digest.core.node import Node
from flwr_digest.core.state import StationState
from flwr_digest.core.stream import Stream
from flwr_digest.overlay.frames import Codec
from flwr_digest.overlay.hello import LinkHello, text_of
from flwr_digest.overlay.session import Session
from tests.support import overlay_raw
from tests.support.contract import Fault, Setup
from tests.support.overlay_session import (
    JOIN_SECONDS,
    LIFE,
    STREAM,
    Company,
    Member,
    eventually,
    overlay_threads,
)
from tests.support.overlay_weather import Passage, Weather

VISITS = 3  # at each node in one `train`
STEPS = 2
TRAIN_SECONDS = 300.0  # the first wait for a stream is 30 s, and waits in vain grow
END_SECONDS = 300.0


class OnLoopback:
    """A company of sessions, plaintext over unix sockets."""

    real_time = True

    def __init__(self, setup: Setup, folder: Path) -> None:
        self.company = Company(
            count=setup.count,
            topology=setup.topology,
            shards=setup.shards,
            regions=setup.regions,
            insecure=True,
            sockets=folder,
            session_seconds=END_SECONDS * 4,
        )
        self._weather = Weather()
        self._passages = {path: self._passage(folder, path) for path in self._links()}
        self._lives = dict.fromkeys(self.company.nodes, LIFE)
        self._there: dict[NodeId, Member] = {}
        self._dead: set[NodeId] = set()
        self._saved: dict[NodeId, Mapping[StreamId, StationState]] = {}
        self._failures: list[AssertionError] = []
        self._counts = Counter[str]()
        for node in self.company.nodes:
            if node not in setup.absent:
                self._start(node)
        for node in self._there:
            self._await_links(node)

    def _links(self) -> list[Link]:
        graph = self.company.graph
        return [link(one, other) for one in graph for other in graph[one] if one < other]

    def _passage(self, folder: Path, path: Link) -> Passage:
        address = f"unix:{folder / f'link-{path.low}-{path.high}.sock'}"
        self.company.dialled_at[path.low, path.high] = address  # the lower id dials
        return Passage(address, self.company.addresses[path.high], self._weather)

    # --- one node -----------------------------------------------------------------------------

    def _start(self, node: NodeId, states: Mapping[StreamId, StationState] | None = None) -> None:
        member = self.company.add(node, states=states, account_life=self._lives[node])
        self._take_core_in_hand(member.session)
        member.session.__enter__()
        self._there[node] = member

    def _await_links(self, node: NodeId) -> None:
        """Wait for the links that can be."""
        session = self._there[node].session
        wanted = {
            peer
            for peer in session.neighbors & self._there.keys()
            if self._passages[link(node, peer)].up
        }
        with session.driver.changed:
            came = session.driver.changed.wait_for(
                lambda: wanted <= session.driver.links.keys(), JOIN_SECONDS
            )
        assert came, f"node {node} has links to {set(session.driver.links)}, not to all of {wanted}"

    def _stop(self, node: NodeId) -> None:
        member = self._there.pop(node)
        member.session.__exit__(None, None, None)
        member.session.check()
        self._saved[node] = member.session.final_states
        self._counts.update(member.report.totals())

    def _take_core_in_hand(self, session: Session) -> None:
        """Have a core checked after every event, and deaf to all of them once it is dead."""
        node = session.driver.node
        handle = node.handle

        def checked(event: Event, now: float) -> list[Effect]:
            dead = session.node_id in self._dead
            if dead and not isinstance(event, LocalSteps):
                return []
            effects = handle(event, now)
            self._check(node)
            return [] if dead else effects

        node.handle = checked  # type: ignore[method-assign]

    def _check(self, node: Node) -> None:
        """Check a core after an event, in its driver's thread."""
        try:
            for station in node.stations.values():
                check_station(station)
                self.company.work.check_copy(station.kept, station.members)
        except AssertionError as error:
            self._failures.append(error)

    # --- time ---------------------------------------------------------------------------------

    def train(self) -> None:
        """See `Company`."""
        for passage in self._passages.values():
            assert passage.has_swallowed(TRAIN_SECONDS), "no hop takes the link that swallows all"
        seen = {node: _visits(member.session) for node, member in self._there.items()}
        for number in range(1, VISITS + 1):
            for member in self._there.values():
                for _ in range(STEPS):
                    member.trainer.step()
            for node, member in self._there.items():
                self._await_visits(member, seen[node] + number)
        assert self._weather.calm(TRAIN_SECONDS), f"{self._weather.faults} did not happen"
        self._raise_failures()

    def _await_visits(self, member: Member, count: int) -> None:
        came = member.trainer.await_that(lambda: _visits(member.session) >= count, TRAIN_SECONDS)
        assert came, f"no stream comes to node {member.session.node_id}"

    def end(self) -> None:
        """See `Company`."""
        everyone = dict(self._there)
        self._all_at_once(lambda member: member.session.finish_training(), everyone)
        cores = [member.session.driver.node for member in everyone.values()]
        endings = {node: member.report.ending for node, member in everyone.items()}
        self._all_at_once(lambda member: member.session.__exit__(None, None, None), everyone)
        for node, member in everyone.items():
            member.session.check()
            self._counts.update(member.report.totals())
            self._saved[node] = member.session.final_states
        self._there.clear()
        self._raise_failures()
        assert set(endings.values()) == {"the session closed"}, endings
        self.company.work.check_end(cores)
        assert not self._counts["forfeited_steps"]

    def _all_at_once(self, act: Callable[[Member], None], whom: Mapping[NodeId, Member]) -> None:
        threads = {n: Thread(target=act, args=(m,), daemon=True) for n, m in whom.items()}
        for thread in threads.values():
            thread.start()
        for node, thread in threads.items():
            thread.join(END_SECONDS)
            assert not thread.is_alive(), f"node {node} hangs"

    def _raise_failures(self) -> None:
        if self._failures:
            raise self._failures[0]

    def close(self) -> None:
        """End what is left, whatever has happened; nothing of the overlay may stay behind."""
        for passage in self._passages.values():
            passage.close()
        self._all_at_once(lambda member: member.session.__exit__(None, None, None), self._there)
        assert eventually(lambda: overlay_threads() == []), overlay_threads()

    # --- what befalls it ----------------------------------------------------------------------

    def cut(self, one: int, other: int) -> None:
        """See `Company`."""
        path = link(NodeId(one), NodeId(other))
        self._passages[path].cut()
        for node, peer in (path, path[::-1]):
            if node in self._there:
                self._await_end_of_link(node, peer)

    def _await_end_of_link(self, node: NodeId, peer: NodeId) -> None:
        driver = self._there[node].session.driver
        with driver.changed:
            gone = driver.changed.wait_for(lambda: peer not in driver.links, JOIN_SECONDS)
        assert gone, f"node {node} does not see that its link to {peer} is down"

    def mute(self, one: int, other: int) -> None:
        """See `Company`."""
        self._passages[link(NodeId(one), NodeId(other))].mute()

    def heal(self, one: int, other: int) -> None:
        """See `Company`."""
        self._passages[link(NodeId(one), NodeId(other))].heal()
        for node in (NodeId(one), NodeId(other)):
            if node in self._there:
                self._await_links(node)

    def befall(self, fault: Fault) -> None:
        """See `Company`."""
        self._weather.befall(fault)

    def kill(self, node: int) -> None:
        """See `Company`: its core does nothing more, then its links go; all steps were saved."""
        self._dead.add(NodeId(node))
        for peer in self.company.graph[NodeId(node)]:
            self.cut(node, peer)
        self._stop(NodeId(node))
        self._dead.discard(NodeId(node))

    def restart(self, node: int, *, with_state: bool) -> None:
        """See `Company`."""
        which = NodeId(node)
        if not with_state:
            self._lives[which] += 1
            self.company.work.begin(which, self._lives[which])
        for peer in self.company.graph[which]:
            self._passages[link(which, peer)].heal()
        self._start(which, self._saved[which] if with_state else None)
        self._await_links(which)

    def leave(self, node: int) -> None:
        """See `Company`."""
        self._stop(NodeId(node))

    def join(self, node: int) -> None:
        """See `Company`."""
        self._start(NodeId(node))
        self._await_links(NodeId(node))

    def intrude(self, node: int, target: int) -> str:
        """See `Company`."""
        company = self.company
        hello = LinkHello(
            session=company.session,
            node=NodeId(node),
            layout=company.layout.fingerprint,
            about=str(company.layout),
        )
        wrong = np.zeros(company.size + 1, dtype=np.float32)
        codec = Codec(frozenset(company.nodes), {STREAM: company.size})
        frames = codec.encode(Hop(stream=Stream(stream_id=STREAM, model=wrong, hop=10**6)))
        said = iter([hello.to_frame(), *frames])
        return text_of(overlay_raw.call(company.addresses[NodeId(target)], said)[-1])

    # --- what came of it ----------------------------------------------------------------------

    def counts(self) -> Counter[str]:
        """See `Company`."""
        return self._counts

    def visited_since(self, node: int) -> bool:
        """See `Company`."""
        kept = [state.kept.last_visit(NodeId(node)) for state in self._saved[NodeId(node)].values()]
        life = self._lives[NodeId(node)]
        return all(visit.life == life and visit.steps > 0 for visit in kept)


def _visits(session: Session) -> int:
    """Return how often the stream that was here least was here."""
    members = session.driver.node.members.values()
    return min(station.counters.visits for station in members)
