"""A Flower federation in one process: a `Grid` that hands messages to real ClientApps in threads.

Every message and reply is written out and read back as Flower's own protobuf, so what arrives is
what would arrive over the network, and what it weighs is counted here, apart from the product.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from uuid import uuid4

from flwr.app import Context, Message, RecordDict
from flwr.app.error import Error
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

RUN_ID = 0xD16E57
SERVER_ID = 1
LONGEST_SECONDS = 60.0  # a federation that takes longer hangs


@contextmanager
def server_identity() -> Iterator[None]:
    """Be the ServerApp: without an identity no message can be made."""
    before = (TaskIdentity._run_id, TaskIdentity._node_id, TaskIdentity._task_id)
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = RUN_ID, SERVER_ID, 1
    yield
    TaskIdentity._run_id, TaskIdentity._node_id, TaskIdentity._task_id = before


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One message and its reply, as they were on the wire; `reply` is None where none came."""

    node: int
    message: ProtoMessage
    reply: ProtoMessage | None

    @property
    def phase(self) -> str:
        """See `phase_of`."""
        return phase_of(self.message)

    @property
    def array_bytes(self) -> int:
        """Bytes of all arrays in both directions."""
        both = [self.message] + ([self.reply] if self.reply is not None else [])
        return sum(
            len(array.value.data)
            for proto in both
            for item in proto.content.items
            for array in item.array_record.items
        )


def phase_of(message: ProtoMessage) -> str:
    """Return what DIGEST wants with a message; its type in any other run."""
    for item in message.content.items:
        if item.key == "digest":
            for entry in item.config_record.items:
                if entry.key == "phase":
                    return str(entry.value.string)
    return str(message.metadata.message_type)


@dataclass(kw_only=True)
class LocalGrid(Grid):
    """Hands each message to the app of its node, all nodes of a batch at once.

    Attributes
    ----------
    apps : mapping of int to ClientApp
        By node.
    contexts : mapping of int to Context
        By node; kept from message to message, as a SuperNode does.
    silent : set of int
        Nodes that never answer.
    dead : set of int
        Nodes whose SuperNode is gone: Flower itself answers for them, under its own id.
    exchanges : list of Exchange
        All that went over the wire, in the order of sending.
    """

    apps: Mapping[int, ClientApp]
    contexts: Mapping[int, Context]
    silent: set[int] = field(default_factory=set)
    dead: set[int] = field(default_factory=set)
    exchanges: list[Exchange] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._trained = {node: Event() for node in self.apps}

    def await_end_of_training(self, node: int) -> None:
        """Wait until a node has answered its first train message, well or with an error."""
        assert self._trained[node].wait(LONGEST_SECONDS)

    def set_run(self, run: Run) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Run:
        return Run.create_empty(RUN_ID)

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        return list(self.apps)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise NotImplementedError("only send_and_receive is used")

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise NotImplementedError("only send_and_receive is used")

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        sent = [(message.metadata.dst_node_id, _posted(message)) for message in messages]
        if not sent:
            return []
        with _without_garbage_collection():
            return self._exchange(sent)

    def _exchange(self, sent: list[tuple[int, ProtoMessage]]) -> list[Message]:
        pool = ThreadPoolExecutor(len(sent), thread_name_prefix="node")
        jobs = {
            index: pool.submit(self._answer, node, proto)
            for index, (node, proto) in enumerate(sent)
            if node not in self.silent
        }
        _, hanging = wait(jobs.values(), timeout=LONGEST_SECONDS)
        pool.shutdown(wait=not hanging)
        assert not hanging, f"{len(hanging)} nodes did not answer within {LONGEST_SECONDS} s"
        replies = {index: _posted(job.result()) for index, job in jobs.items()}
        for index, (node, proto) in enumerate(sent):
            exchange = Exchange(node=node, message=proto, reply=replies.get(index))
            self.exchanges.append(exchange)
        return [message_from_proto(proto) for proto in replies.values()]

    def _answer(self, node: int, proto: ProtoMessage) -> Message:
        message = message_from_proto(proto)
        if node in self.dead:
            message.metadata.dst_node_id = SERVER_ID
            return Message(Error(ErrorCode.NODE_UNAVAILABLE, "it is gone"), reply_to=message)
        try:
            return self.apps[node](message, self.contexts[node])
        except Exception as error:  # noqa: BLE001 (as the SuperNode does)
            reason = str(type(error)) + ":<'" + str(error) + "'>"
            code = ErrorCode.CLIENT_APP_RAISED_EXCEPTION
            return Message(Error(code, reason), reply_to=message_from_proto(proto))
        finally:
            if phase_of(proto) == "train":
                self._trained[node].set()

    def of_phase(self, *phases: str) -> list[Exchange]:
        """Return the exchanges of these phases."""
        return [exchange for exchange in self.exchanges if exchange.phase in phases]


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Keep Python from collecting garbage, which nodes in threads cannot bear.

    NumPy reads the headers of arrays with `ast`, and in CPython before 3.13 all threads share the
    depth of the tree in the making: a finalizer that runs in the midst lets another thread in, and
    both end with "AST constructor recursion depth mismatch". Real nodes are processes.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _posted(message: Message) -> ProtoMessage:
    message.metadata.__dict__["_message_id"] = str(uuid4())  # as the SuperLink does
    return message_to_proto(message)
