"""One node's overlay in one session: from listening and dialling to the last goodbye."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from flwr_digest.core.address import NOWHERE
from flwr_digest.core.faults import is_calm
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.layout import Layout
from flwr_digest.core.messages import Message
from flwr_digest.core.node import Node
from flwr_digest.core.plan import Plan
from flwr_digest.core.shards import shard_slices
from flwr_digest.core.state import StationState
from flwr_digest.core.trainer import Trainer
from flwr_digest.errors import DigestError, DivergedError
from flwr_digest.overlay.crew import Crew
from flwr_digest.overlay.dialer import Dialer
from flwr_digest.overlay.driver import Driver
from flwr_digest.overlay.identity import Identity
from flwr_digest.overlay.items import Delivered, Finished, Linked, Stop, Unlinked
from flwr_digest.overlay.keeper import Keeper
from flwr_digest.overlay.link import LOGGER, Link
from flwr_digest.overlay.neighborhood import Neighborhood
from flwr_digest.overlay.report import SessionReport
from flwr_digest.overlay.server import Door, Server
from flwr_digest.overlay.traffic import Traffic
from flwr_digest.overlay.wiring import codec_of, introduction_of, security_of

__all__ = ["Session", "SessionReport"]

NEWS_SECONDS = 10.0  # how often a wait tells what it waits for: often enough to look alive
GOODBYE_SECONDS = 5.0  # a last frame and a TCP close over a slow link; then we leave anyway


@dataclass(kw_only=True)
class Session:
    """A node in a session. Use as a context manager: leaving it ends every thread and socket.

    Parameters
    ----------
    node_id : NodeId
        Who this is.
    plan : Plan
        This node's plan.
    layout : Layout
        The model's layout; neighbors with another are refused.
    identity : Identity or None
        This node's key and certificate; None only with `plan.insecure`.
    listen : str
        Where to listen: ``host:port`` or ``unix:/path``; `NOWHERE` where this node only dials.
    states : mapping of StreamId to StationState
        For each stream that this node is a member of: what earlier sessions left, made ready by
        `for_new_session`, or `first_state`.
    trainer : Trainer
        Whoever trains.
    keeper : Keeper or None
        Keeps the states on disk while the session runs; None: a process that is killed comes back
        with what it had before the session, at best.
    rejoining : bool
        Whether this process comes back into a session that runs: then it asks soon where its
        streams are, as they may have been lost with it.
    """

    node_id: NodeId
    plan: Plan
    layout: Layout
    identity: Identity | None
    listen: str
    states: Mapping[StreamId, StationState]
    trainer: Trainer
    keeper: Keeper | None = None
    rejoining: bool = False
    _clock: Callable[[], float] = time.monotonic
    _failure: DigestError | None = None
    _traffic: dict[NodeId, Traffic] = field(default_factory=dict)
    _running: set[Link] = field(default_factory=set)
    _leaving: bool = False
    _ending: str = "it was closed"

    def __post_init__(self) -> None:
        config = self.plan.node_config(self.node_id)
        if self.rejoining:
            config = replace(config, first_lost_seconds=config.first_receipt_seconds)
        self.neighbors = config.neighbors
        keep = None if self.keeper is None else self.keeper.keep
        self.driver = Driver(Node(config, self.states), self.trainer, self._clock, keep)
        self.neighborhood = Neighborhood(self.node_id, self.listen, self.plan)
        self._codec = codec_of(self.plan, self.layout)
        self._introduction = introduction_of(self.node_id, self.plan, self.layout)
        self._security = security_of(self.node_id, self.plan, self.identity)
        dialled = [peer for peer in self.neighbors if self.neighborhood.dials(peer)]
        self._dialers = [self._dialer(peer) for peer in dialled]
        # The driver, a dialer or an acceptor's reader for each neighbor, and as many again for
        # links that come back before the old ones are found dead.
        self._crew = Crew(2 + 2 * len(self.neighbors), self._failed)

    # --- start and end --------------------------------------------------------------------------

    def __enter__(self) -> Session:
        self._began = self._clock()
        self._session_end = self._began + self.plan.session_seconds
        slices = shard_slices(self.layout.size, self.plan.shards)
        self.trainer.divide(slices, drift_correction=self.plan.drift_correction)
        self._server = None if self.listen == NOWHERE else Server(self.listen, self._door())
        if self.keeper is not None:
            self.keeper.begin(self.states)
        self._crew.start(self.driver.run)
        for dialer in self._dialers:
            self._crew.start(dialer.run)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        end = self._clock() + GOODBYE_SECONDS
        with self.driver.changed:
            self._leaving = True
            links = list(self._running)
        for dialer in self._dialers:
            dialer.stop()
        for link in links:
            link.leave()
        for link in links:
            link.ended.wait(max(0.0, end - self._clock()))
        for dialer in self._dialers:
            dialer.cut()
        if self._server is not None:
            self._server.stop(grace_seconds=max(0.0, end - self._clock()))
        self.driver.post(Stop())
        if not self._crew.join(GOODBYE_SECONDS):
            LOGGER.warning(
                "node %d: a link did not end within %g s and is left to itself",
                self.node_id, GOODBYE_SECONDS,
            )  # fmt: skip
        self._tell_of_faults()
        if self.listen.startswith("unix:"):
            Path(self.listen.removeprefix("unix:")).unlink(missing_ok=True)

    # --- while it lasts -------------------------------------------------------------------------

    def await_neighbors(self, seconds: float) -> frozenset[NodeId]:
        """Wait until all neighbors are linked, at most `seconds`; return those that are not.

        Owner: the training thread. Reason: steps made before anyone can be reached teach nobody
        but oneself. It tells every few seconds whom it waits for.
        """
        end = self._clock() + seconds
        self._wait(
            lambda: not self._missing(),
            end,
            lambda: f"waits for its neighbors {self.neighborhood.describe(self._missing())}",
        )
        if missing := self._missing():
            self.neighborhood.go_on_without(missing)
            described = self.neighborhood.describe(missing)
            LOGGER.warning("node %d goes on without %s", self.node_id, described)
        return missing

    def finish_training(self) -> None:
        """Say that there will be no more steps, and stay as a relay until the session is over.

        Owner: the training thread. Reason: the others still learn, and the last tour brings the
        final model. It ends when the core has closed every stream (it gives up by itself when all
        links stay broken), when all neighbors have left, or when the plan's time is up.
        """
        self.driver.post(Finished())
        over = self._wait(
            lambda: self.driver.closed or self.driver.abandoned,
            self._session_end,
            lambda: f"has finished and relays for {len(self.driver.links)} neighbors",
        )
        if over and not self.driver.stranded:
            closed = self.driver.closed
            self._ending = "the session closed" if closed else "all neighbors had left"
            return
        limit = f"its time was up ({self.plan.session_seconds:g} s)"
        self._ending = "its links stayed broken" if over else limit
        LOGGER.warning("node %d leaves: %s", self.node_id, self._ending)

    def check(self) -> None:
        """Raise what has killed the overlay, if anything has.

        Raises
        ------
        DigestError
            A thread of the overlay has failed; its error is the cause.
        """
        if self._failure is not None:
            raise self._failure

    def report(self) -> SessionReport:
        """Return the figures so far."""
        stations = dict(self.driver.node.stations)  # relays may still be added
        states = self.driver.node.states.values()
        return SessionReport(
            ending=self._ending,
            traffic=dict(self._traffic),
            counters={stream_id: station.counters for stream_id, station in stations.items()},
            unreached={
                peer: f"{self.neighborhood.where(peer)}: {self.neighborhood.why_missing(peer)}"
                for peer in self.neighbors - self.driver.met
            },
            unshared_steps=max((state.account.unshared_steps for state in states), default=0),
            corrections_off=int(self.driver.uncorrected),
            seconds=self._clock() - self._began,
            links_lost=self.driver.links_lost,
            links_refused=self.driver.links_refused,
            failed_saves=0 if self.keeper is None else self.keeper.failed_saves,
            away_seconds={
                stream_id: station.search.away_seconds(self._clock())
                for stream_id, station in self.driver.node.members.items()
                if not station.closed
            },
        )

    @property
    def final_states(self) -> dict[StreamId, StationState]:
        """What the next session goes on from. Read it after the session has been left."""
        return self.driver.node.states

    # --- inner workings -------------------------------------------------------------------------

    def _wait(self, done: Callable[[], bool], deadline: float, news: Callable[[], str]) -> bool:
        """Wait for a change that makes `done` true, telling the news; return whether it came."""
        with self.driver.changed:
            while not done():
                self.check()
                left = deadline - self._clock()
                if left <= 0:
                    return False
                if not self.driver.changed.wait(min(left, NEWS_SECONDS)) and left > NEWS_SECONDS:
                    LOGGER.info("node %d %s", self.node_id, news())
        return True

    def _tell_of_faults(self) -> None:
        """Sum up the session's faults in one line."""
        report = self.report()
        level = LOGGER.info if is_calm(report.totals()) else LOGGER.warning
        level("node %d: %s", self.node_id, report.summary())

    def _missing(self) -> frozenset[NodeId]:
        return self.neighbors - set(self.driver.links) - self.driver.departed

    def _failed(self, error: BaseException) -> None:
        with self.driver.changed:
            if self._failure is None:
                self._failure = self._in_words(error)
            self.driver.changed.notify_all()
        LOGGER.error("node %d: %s", self.node_id, self._failure)
        self.trainer.fail(self._failure)

    @staticmethod
    def _in_words(error: BaseException) -> DigestError:
        if isinstance(error, DivergedError):  # the user's own, and said in words
            return error
        failure = DigestError(f"the overlay failed: {error!r}")
        failure.__cause__ = error
        return failure

    def _door(self) -> Door:
        return Door(
            me=self._introduction,
            callers=frozenset(peer for peer in self.neighbors if not self.neighborhood.dials(peer)),
            security=self._security,
            make_link=self._make_link,
            start_link=self._start_link,
            trouble=self.neighborhood.note_trouble,
        )

    def _dialer(self, peer: NodeId) -> Dialer:
        return Dialer(
            me=self._introduction,
            peer=peer,
            at=self.plan.peers[peer],
            security=self._security,
            make_link=self._make_link,
            run_link=self._run_link,
            trouble=self.neighborhood.note_trouble,
        )

    def _make_link(self, peer: NodeId) -> Link:
        traffic = self._traffic.setdefault(peer, Traffic())
        secure = not self.plan.insecure
        return Link(peer=peer, codec=self._codec, traffic=traffic, secure=secure)

    def _start_link(self, link: Link, frames: Iterator[bytes]) -> None:
        with self.driver.changed:
            leaving = self._leaving
        if leaving:  # the crew may have gone home: this link has nobody to take its frames in
            link.leave()
        else:
            self._crew.start(self._run_link, link, frames)

    def _run_link(self, link: Link, frames: Iterator[bytes]) -> None:
        with self.driver.changed:
            self._running.add(link)
            leaving = self._leaving
        if leaving:
            link.leave()
        self.driver.post(Linked(link))
        reason = link.incoming(frames, self._deliver)
        with self.driver.changed:
            self._running.discard(link)
        self.driver.post(Unlinked(link, reason))

    def _deliver(self, link: Link, message: Message) -> None:
        self.driver.post(Delivered(link, message))
