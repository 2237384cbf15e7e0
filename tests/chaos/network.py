"""The network of a chaos session: what a link is made of, and how it is broken."""

from __future__ import annotations

from typing import Protocol

from flwr_digest.core.ids import Link, NodeId
from tests.chaos.namespaces import Namespaces, namespaces_work
from tests.chaos.proxies import Proxies
from tests.support.overlay_session import Company


class Network(Protocol):
    """Links between processes."""

    name: str

    def prefix(self, node: NodeId) -> list[str]:
        """Return what is to come before the command of a node's process."""
        ...

    def listen(self, node: NodeId) -> str:
        """Return where a node listens."""
        ...

    def dialled(self, node: NodeId, peer: NodeId) -> str:
        """Return where a node finds a neighbor."""
        ...

    def cut(self, path: Link) -> None:
        """Take a link down."""
        ...

    def heal(self, path: Link) -> None:
        """Bring a link up again."""
        ...

    def lose(self, path: Link, share: float) -> None:
        """Let a link lose this share of its messages."""
        ...

    def close(self) -> None:
        """Leave nothing behind."""
        ...


def network_for(company: Company, *, lossy: bool, proxies: bool = False, seed: int = 0) -> Network:
    """Return a network of the best kind that this machine allows, and that can lose messages.

    Parameters
    ----------
    company : Company
        Whose links it has.
    lossy : bool
        Whether links are to lose messages.
    proxies : bool
        Whether to take proxies even where there is better.
    seed : int
        Decides what is lost.
    """
    if lossy or proxies or not namespaces_work():
        return Proxies(company, seed)
    return Namespaces(company)
