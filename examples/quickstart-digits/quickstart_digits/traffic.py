"""How many bytes of models pass through the server, whatever the strategy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from flwr.app import Message, MessageType
from flwr.serverapp import Grid

Account = Literal["handout_bytes", "training_bytes", "on_request_bytes"]


@dataclass
class Traffic:
    """The bytes of all arrays in train messages and in the replies to them.

    Attributes
    ----------
    handout_bytes : int
        The initial model: the first arrays that each node was sent. No method can do without.
    training_bytes : int
        All that passed through the server because the nodes were learning.
    on_request_bytes : int
        Models that were fetched because someone asked to see one, not for learning.
    """

    handout_bytes: int = 0
    training_bytes: int = 0
    on_request_bytes: int = 0


@dataclass
class _Meter:
    """Books each message to one account of the traffic."""

    traffic: Traffic = field(default_factory=Traffic)
    _served: set[int] = field(default_factory=set)

    def book_sent(self, message: Message) -> None:
        """Book a message on its way to a node."""
        size = _array_bytes(message)
        node = message.metadata.dst_node_id
        first = size > 0 and node not in self._served
        if first:
            self._served.add(node)
        self._book("handout_bytes" if first else _account(message), size)

    def book_reply(self, message: Message) -> None:
        """Book a reply from a node."""
        self._book(_account(message), _array_bytes(message))

    def _book(self, account: Account, size: int) -> None:
        setattr(self.traffic, account, getattr(self.traffic, account) + size)


def measure_traffic(grid: Grid) -> Traffic:
    """Count from now on what passes through the grid; the returned object is kept up to date."""
    meter = _Meter()
    send_and_receive = grid.send_and_receive

    def counting(messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        sent = list(messages)
        for message in sent:
            meter.book_sent(message)
        replies = list(send_and_receive(sent, timeout=timeout))
        for reply in replies:
            meter.book_reply(reply)
        return replies

    grid.send_and_receive = counting  # type: ignore[method-assign]
    return meter.traffic


def _array_bytes(message: Message) -> int:
    """Return the size of a train message's arrays; other messages, and errors, count as none."""
    if message.metadata.message_type != MessageType.TRAIN or message.has_error():
        return 0
    return sum(arrays.count_bytes() for arrays in message.content.array_records.values())


def _account(message: Message) -> Account:
    """Tell learning from being asked for a model, which a "digest" record would say."""
    if message.has_error() or "digest" not in message.content.config_records:
        return "training_bytes"
    phase = message.content.config_records["digest"].get("phase")
    return "on_request_bytes" if phase in ("hello", "collect") else "training_bytes"
