"""Where a node's neighbors are, who dials whom, and why one that is missing may be missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock

from flwr_digest.core.address import NOWHERE, dials
from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import Plan
from flwr_digest.overlay.diagnose import diagnose


class Neighborhood:
    """The neighbors of one node. Its methods may be called from several threads.

    Parameters
    ----------
    node_id : NodeId
        Whose neighbors these are.
    listen : str
        Where that node listens.
    plan : Plan
        Says where the neighbors do.
    """

    def __init__(self, node_id: NodeId, listen: str, plan: Plan) -> None:
        self._node_id = node_id
        self._listen = listen
        self._plan = plan
        self._lock = Lock()
        self._trouble: dict[NodeId, str] = {}
        self._missed: Mapping[NodeId, str] = {}

    def dials(self, peer: NodeId) -> bool:
        """Whether it is this node that dials, not the neighbor."""
        return dials(self._node_id, self._listen, peer, self._plan.peers[peer].address)

    def note_trouble(self, peer: NodeId, trouble: str) -> None:
        """Note in words what keeps a neighbor from linking; empty when it has linked."""
        with self._lock:
            self._trouble[peer] = trouble

    def trouble_with(self, peer: NodeId) -> str:
        """Return what was noted last, or nothing."""
        with self._lock:
            return self._trouble.get(peer, "")

    def go_on_without(self, peers: Iterable[NodeId]) -> None:
        """Find out what has become of neighbors, and remember it: later they may just have left."""
        peers = sorted(peers)
        for peer in peers:
            self._look_for_caller(peer)
        self._missed = {peer: self.why_missing(peer) for peer in peers}

    def _look_for_caller(self, peer: NodeId) -> None:
        """Find out about a neighbor that was to dial this node: gRPC tells only those who dial."""
        known = self.dials(peer) or self._plan.peers[peer].address == NOWHERE
        if not known and not self.trouble_with(peer):
            found = diagnose(peer, self._plan.peers[peer], insecure=self._plan.insecure)
            reachable = "it listens, but has not dialled: can it reach this node?"
            self.note_trouble(peer, found or reachable)

    def where(self, peer: NodeId) -> str:
        """Return in words where a neighbor is."""
        address = self._plan.peers[peer].address
        return "(which only dials)" if address == NOWHERE else f"at {address}"

    def why_missing(self, peer: NodeId) -> str:
        """Return in words why there is no link to a neighbor, as far as it is known."""
        waiting = "no answer yet" if self.dials(peer) else "it has not dialled"
        return self._missed.get(peer) or self.trouble_with(peer) or waiting

    def describe(self, peers: Iterable[NodeId]) -> str:
        """Return in words where neighbors are, and why they are missing."""
        return ", ".join(f"{p} {self.where(p)} ({self.why_missing(p)})" for p in sorted(peers))
