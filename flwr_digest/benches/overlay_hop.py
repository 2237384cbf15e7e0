"""One hop of this overlay: its own server, dialer, frames and checks, with nothing behind them."""

from __future__ import annotations

from collections.abc import Iterator
from queue import Empty, SimpleQueue
from threading import Thread

import numpy as np

from flwr_digest.benches.ends import PATIENCE_SECONDS, Meeting, Way
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.messages import Hop, Message, Receipt
from flwr_digest.core.plan import Peer
from flwr_digest.core.stream import Stream
from flwr_digest.errors import DigestError
from flwr_digest.overlay.channel import Security
from flwr_digest.overlay.dialer import Dialer
from flwr_digest.overlay.frames import Codec
from flwr_digest.overlay.hello import LinkHello
from flwr_digest.overlay.link import Link
from flwr_digest.overlay.server import Door, Server
from flwr_digest.overlay.traffic import Traffic

SENDER, RECEIVER = NodeId(0), NodeId(1)
MEMBERS = frozenset({SENDER, RECEIVER})
GRACE_SECONDS = 1.0  # for the last frames, on loopback


class OverlayEnd:
    """What both ends share: one link, and a stream for each size of model.

    A subclass says what is done with each message, in the thread that reads the link.
    """

    def __init__(self, meeting: Meeting, me: NodeId) -> None:
        self.me = me
        self.sizes = meeting.sizes
        self.stream_id = StreamId(0)
        self.links: SimpleQueue[Link] = SimpleQueue()
        self._peer = RECEIVER if me == SENDER else SENDER
        self._codec = Codec(MEMBERS, {StreamId(n): size for n, size in enumerate(meeting.sizes)})
        self._introduction = LinkHello(session="bench", node=me, layout="-", about="-")
        self._identities = meeting.identities
        self._address = meeting.address
        self.link: Link | None = None
        self._start()

    def _start(self) -> None:
        if self.me == RECEIVER:
            self._server = Server(self._address, self._door())
            return
        self._dialer = self._make_dialer()
        Thread(target=self._dialer.run, name="dialer", daemon=True).start()
        try:
            self.link = self.links.get(timeout=PATIENCE_SECONDS)
        except Empty as error:
            raise DigestError("no link came about") from error

    def message(self, link: Link, message: Message) -> None:
        """Deal with a message."""
        raise NotImplementedError

    def prepare(self, values: int) -> None:
        """Use the stream of that size."""
        self.stream_id = StreamId(self.sizes.index(values))

    def hop(self) -> None:
        """Only the sender hops."""

    def close(self) -> None:
        """End the link."""
        if self.me == SENDER:
            if self.link is not None:
                self.link.leave()
            self._dialer.stop()
        else:
            self._server.stop(GRACE_SECONDS)

    # --- the link -------------------------------------------------------------------------------

    def _security(self) -> Security | None:
        if self._identities is None:
            return None
        return Security(identity=self._identities[self.me], peers={self._peer: self._at()})

    def _at(self) -> Peer:
        certificate = ""
        if self._identities is not None:
            certificate = self._identities[self._peer].certificate.decode()
        return Peer(address=self._address, certificate=certificate)

    def _door(self) -> Door:
        return Door(
            me=self._introduction,
            callers=frozenset({self._peer}),
            security=self._security(),
            make_link=self._make_link,
            start_link=self._start_link,
            trouble=lambda peer, trouble: None,
        )

    def _make_dialer(self) -> Dialer:
        return Dialer(
            me=self._introduction,
            peer=self._peer,
            at=self._at(),
            security=self._security(),
            make_link=self._make_link,
            run_link=self._run_link,
            trouble=lambda peer, trouble: None,
        )

    def _make_link(self, peer: NodeId) -> Link:
        secure = self._identities is not None
        return Link(peer=peer, codec=self._codec, traffic=Traffic(), secure=secure)

    def _start_link(self, link: Link, frames: Iterator[bytes]) -> None:
        Thread(target=self._run_link, args=(link, frames), name="link", daemon=True).start()

    def _run_link(self, link: Link, frames: Iterator[bytes]) -> None:
        self.links.put(link)
        link.incoming(frames, self.message)


class Receiver(OverlayEnd):
    """Checks each model as the overlay does, and acknowledges it."""

    def __init__(self, meeting: Meeting) -> None:
        super().__init__(meeting, RECEIVER)

    def message(self, link: Link, message: Message) -> None:
        """Acknowledge a stream."""
        if isinstance(message, Hop):
            order = message.stream.order
            link.send(Receipt(stream_id=message.stream.stream_id, order=order, newest=order))


class Sender(OverlayEnd):
    """Sends a stream, and waits for the receipt."""

    def __init__(self, meeting: Meeting) -> None:
        self._receipts: SimpleQueue[Message] = SimpleQueue()
        self._stream = Stream(stream_id=StreamId(0), model=np.empty(0, dtype=np.float32))
        super().__init__(meeting, SENDER)

    def message(self, link: Link, message: Message) -> None:
        """Note a receipt."""
        self._receipts.put(message)

    def prepare(self, values: int) -> None:
        """Make the model."""
        super().prepare(values)
        model = np.ones(values, dtype=np.float32)
        self._stream = Stream(stream_id=self.stream_id, model=model)

    def hop(self) -> None:
        """Send the stream and await its receipt."""
        if self.link is not None:
            self.link.send(Hop(stream=self._stream))
        try:
            self._receipts.get(timeout=PATIENCE_SECONDS)
        except Empty as error:
            raise DigestError("no receipt came") from error


OVERLAY = Way(name="overlay", receive=Receiver, send=Sender)
OVERLAY_MTLS = Way(name="overlay with mTLS", receive=Receiver, send=Sender, secure=True)
