"""The broker's desk: writes messages to nodes, asks them, and weighs the models that pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, RecordDict
from flwr.serverapp import Grid

from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import RECORD, Key
from flwr_digest.strategies.accounting import ServerTraffic, model_bytes
from flwr_digest.strategies.replies import Replies, sort_replies


@dataclass(kw_only=True)
class Desk:
    """Where messages of one run are written, and their model bytes counted.

    Attributes
    ----------
    arrays_key : str
        Under which name the users' handlers expect the model.
    grid : Grid or None
        Flower's way to the nodes; None before the first round.
    timeout_seconds : float
        How long a node may take to answer. 3600: as in Flower's `start`.
    traffic : ServerTraffic
        Model bytes through the ServerApp so far.
    """

    arrays_key: str
    grid: Grid | None = None
    timeout_seconds: float = 3600.0
    traffic: ServerTraffic = field(default_factory=ServerTraffic)

    def message(
        self,
        node: NodeId,
        fields: Mapping[Key, str | bool],
        records: Mapping[str, ArrayRecord | ConfigRecord] | None = None,
        *,
        message_type: str = MessageType.TRAIN,
    ) -> Message:
        """Return a message to a node, with our record that says what it is about."""
        content = RecordDict(dict(records or {}))
        known: dict[str, Any] = {str(key): value for key, value in fields.items()}
        content[RECORD] = ConfigRecord(known | {Key.ARRAYS.value: self.arrays_key})
        return Message(content, message_type=message_type, dst_node_id=node)

    def ask(self, messages: Sequence[Message]) -> Replies:
        """Send messages that are no part of Flower's own round, and wait for the replies."""
        if not messages or self.grid is None:
            return Replies(content={}, failed={})
        answers = self.grid.send_and_receive(messages, timeout=self.timeout_seconds)
        return sort_replies(messages, answers)

    def count_handout(self, messages: Iterable[Message]) -> None:
        """Count the initial model in messages that are about to be sent."""
        self.traffic.handout_bytes += sum(model_bytes(message.content) for message in messages)

    def count_training(self, contents: Iterable[RecordDict]) -> None:
        """Count models in messages and replies of training and evaluation: there should be none."""
        self.traffic.training_bytes += sum(map(model_bytes, contents))

    def count_on_request(self, content: RecordDict) -> None:
        """Count the streams' model, which the user has asked for."""
        self.traffic.on_request_bytes += model_bytes(content)
