"""A proxy for each link, where a machine allows no more, and where messages are to be lost."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np

from flwr_digest.core.ids import Link, NodeId, link
from flwr_digest.overlay.fields import Kind
from tests.chaos.topologies import links_of
from tests.support.overlay_session import Company
from tests.support.overlay_weather import Passage, Weather
from tests.support.places import socket_folder

LOSSES = 0x1055


class Proxies:
    """Each link is a proxy in this process that knows messages, and can lose them.

    A link that is cut is a connection that was closed: both ends are told.
    """

    name = "proxies"

    def __init__(self, company: Company, seed: int = 0) -> None:
        self._made = ExitStack()
        self._folder = self._made.enter_context(socket_folder())
        self._passages: dict[Link, Passage] = {}
        self._losses: dict[Link, Losses] = {}
        for number, path in enumerate(links_of(company)):
            losses = self._losses[path] = Losses(seed, number)
            passage = Passage(self._link_at(path), self.listen(path.high), losses)
            self._passages[path] = passage
            self._made.callback(passage.close)

    def prefix(self, node: NodeId) -> list[str]:
        """Return what is to come before the command of a node's process: nothing."""
        return []

    def listen(self, node: NodeId) -> str:
        """Return where a node listens."""
        return f"unix:{self._folder / f'node-{node}.sock'}"

    def dialled(self, node: NodeId, peer: NodeId) -> str:
        """Return where a node finds a neighbor: at the proxy, as the lower id dials."""
        return self._link_at(link(node, peer)) if node < peer else self.listen(peer)

    def cut(self, path: Link) -> None:
        """Take a link down."""
        self._passages[path].cut()

    def heal(self, path: Link) -> None:
        """Bring a link up again."""
        self._passages[path].heal()

    def lose(self, path: Link, share: float) -> None:
        """Let a link lose this share of its messages."""
        self._losses[path].share = share

    def close(self) -> None:
        """End all proxies."""
        self._made.close()

    def _link_at(self, path: Link) -> str:
        return f"unix:{self._folder / f'link-{path.low}-{path.high}.sock'}"


class Losses(Weather):
    """Loses a share of a link's messages, whatever they say; hellos come through."""

    def __init__(self, seed: int, number: int) -> None:
        super().__init__()
        self._rng = np.random.default_rng([LOSSES, seed, number])
        self.share = 0.0

    def copies(self, kind: Kind) -> int:
        """Return how often a message goes on: once, or not at all."""
        with self.changed:
            spared = kind in (Kind.HELLO, Kind.GOODBYE, Kind.REFUSAL)
            return int(spared or self._rng.random() >= self.share)
