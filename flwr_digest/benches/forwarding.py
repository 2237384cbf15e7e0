"""Hops with all that a visit is: the core merges the node's steps in and sends the stream on.

Two nodes send a stream to and fro. Each has made a local step meanwhile, so each visit settles the
accounts, rebases the node and makes a new copy of the model. Half the time there and back is that
of one hop with merge and forward.
"""

from __future__ import annotations

import time
from queue import Empty, SimpleQueue

import numpy as np

from flwr_digest.benches.ends import PATIENCE_SECONDS, Meeting, Way
from flwr_digest.benches.overlay_hop import MEMBERS, RECEIVER, SENDER, OverlayEnd
from flwr_digest.core.config import NodeConfig, StreamPlan
from flwr_digest.core.effects import Send
from flwr_digest.core.events import Event, LinkUp, LocalSteps, MessageReceived, SessionStarted
from flwr_digest.core.ids import NodeId, ShardId
from flwr_digest.core.messages import Hop, Message
from flwr_digest.core.node import Node
from flwr_digest.core.state import first_state
from flwr_digest.errors import DigestError
from flwr_digest.overlay.link import Link

SHARD = ShardId(0)
LIFE = 1


class VisitedEnd(OverlayEnd):
    """An end with a core behind it, for the present size."""

    node: Node
    step: LocalSteps

    def prepare(self, values: int) -> None:
        """Begin anew with a model of that size; the stream is at the sender."""
        super().prepare(values)
        plan = StreamPlan(shard=SHARD, start=SENDER, members=MEMBERS)
        config = NodeConfig(
            node_id=self.me,
            topology={SENDER: frozenset({RECEIVER}), RECEIVER: frozenset({SENDER})},
            streams={self.stream_id: plan},
            weight=0.5,
        )
        model = np.zeros(values, dtype=np.float32)
        self.node = Node(config, {self.stream_id: first_state(self.stream_id, model, LIFE)})
        moved = np.full(values, 1e-6, dtype=np.float32)
        self.step = LocalSteps(shard=SHARD, steps=1, displacement=moved)
        self.handle(SessionStarted(), None)

    def visit(self, link: Link, message: Message) -> None:
        """Hand a message to the core, a stream with a local step before it."""
        if isinstance(message, Hop):
            self.handle(self.step, link)
        peer = NodeId(RECEIVER if self.me == SENDER else SENDER)
        self.handle(MessageReceived(peer=peer, message=message), link)

    def handle(self, event: Event, link: Link | None) -> None:
        """Hand in an event and send what is to be sent. Nothing is lost here: no timer is due."""
        for effect in self.node.handle(event, time.monotonic()):
            if isinstance(effect, Send) and link is not None:
                link.send(effect.message)


class Receiver(VisitedEnd):
    """Merges and sends each stream back, in the thread that reads the link."""

    def __init__(self, meeting: Meeting) -> None:
        super().__init__(meeting, RECEIVER)

    def prepare(self, values: int) -> None:
        """Begin anew; the core hears of the link with the first stream."""
        super().prepare(values)
        self.handle(LinkUp(peer=SENDER), None)

    def message(self, link: Link, message: Message) -> None:
        """Let the core deal with it."""
        self.visit(link, message)


class Sender(VisitedEnd):
    """Merges and sends the stream, and waits until it comes back."""

    def __init__(self, meeting: Meeting) -> None:
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self._here: Message | None = None
        super().__init__(meeting, SENDER)

    def prepare(self, values: int) -> None:
        """Begin anew, and send the stream for the first time."""
        super().prepare(values)
        self.handle(self.step, self.link)
        self.handle(LinkUp(peer=RECEIVER), self.link)
        self._await_stream()

    def message(self, link: Link, message: Message) -> None:
        """Hand over to whoever waits."""
        self._inbox.put(message)

    def hop(self) -> None:
        """Merge and send the stream that is here, and wait until it is back, merged there."""
        if self.link is not None and self._here is not None:
            self.visit(self.link, self._here)
            self._await_stream()

    def _await_stream(self) -> None:
        """Keep the stream that comes next; what comes before it goes to the core at once."""
        while self.link is not None:
            try:
                message = self._inbox.get(timeout=PATIENCE_SECONDS)
            except Empty as error:
                raise DigestError("the stream did not come back") from error
            if isinstance(message, Hop):
                self._here = message
                return
            self.visit(self.link, message)


FORWARDING = Way(name="overlay, visits", receive=Receiver, send=Sender, hops=2)
FORWARDING_MTLS = Way(
    name="overlay with mTLS, visits", receive=Receiver, send=Sender, secure=True, hops=2
)
