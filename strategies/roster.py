"""What the broker remembers of the nodes from session to session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import Hello
from flwr_digest.strategies.epochs import LastSession


@dataclass(kw_only=True)
class Roster:
    """The nodes of one run, as they have introduced themselves.

    Attributes
    ----------
    ready : dict of NodeId to Hello
        Nodes that can be in the next session: a hello is good for one.
    with_model : set of NodeId
        Nodes that have a model of this run.
    lives : dict of NodeId to int
        The life of each node's accounts when it first said hello, and after each session that it
        has told of the end of. A node that says hello under another life has lost what it knew of
        its own doings in sessions since; its plan tells it so (see `Plan.life`).
    absent : dict of NodeId to str
        Why some nodes could not take part when the last session was gathered.
    last : LastSession or None
        Who was in the last session, and how the streams were cut; None before the first.
    """

    ready: dict[NodeId, Hello] = field(default_factory=dict)
    with_model: set[NodeId] = field(default_factory=set)
    lives: dict[NodeId, int] = field(default_factory=dict)
    absent: dict[NodeId, str] = field(default_factory=dict)
    last: LastSession | None = None

    def introduce(self, hellos: Mapping[NodeId, Hello]) -> None:
        """Note hellos of nodes that were invited."""
        self._note(hellos)
        for node, hello in hellos.items():
            self.lives.setdefault(node, hello.life)

    def return_from_session(self, hellos: Mapping[NodeId, Hello]) -> None:
        """Note hellos that came with the report of a session."""
        self._note(hellos)
        self.lives |= {node: hello.life for node, hello in hellos.items()}

    def send_off(self, session: LastSession) -> None:
        """Note that a session begins."""
        self.last = session
        if session.epoch.cut_anew:  # all accounts are, whatever was known of earlier ones
            self.lives |= {node: self.ready[node].life for node in session.members}
        for node in session.members:
            del self.ready[node]

    def send_back(self, nodes: Iterable[NodeId]) -> None:
        """Forget the hellos of nodes that cannot be in a session as they are: they may change."""
        for node in nodes:
            self.ready.pop(node, None)

    def among(self, nodes: Iterable[NodeId]) -> dict[NodeId, Hello]:
        """Return those of the nodes that are ready."""
        return {node: self.ready[node] for node in nodes if node in self.ready}

    def _note(self, hellos: Mapping[NodeId, Hello]) -> None:
        self.ready |= hellos
        self.with_model |= set(hellos)
