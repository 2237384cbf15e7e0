"""Sorts the replies to a batch of messages: who answered what, who failed and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flwr.app import Message, RecordDict

from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import RECORD, Hello, Key
from flwr_digest.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Replies:
    """The outcome of a batch of messages, one to each node.

    Attributes
    ----------
    content : dict of NodeId to RecordDict
        What the nodes answered.
    failed : dict of NodeId to str
        Why the others did not, in one line.
    """

    content: dict[NodeId, RecordDict]
    failed: dict[NodeId, str]


def sort_replies(sent: Sequence[Message], replies: Iterable[Message]) -> Replies:
    """Return who answered what.

    An error reply is matched by the message that it replies to, not by its sender: for a node that
    has died, Flower itself answers, under another id.
    """
    asked = {message.metadata.message_id: message.metadata.dst_node_id for message in sent}
    content: dict[NodeId, RecordDict] = {}
    failed = {NodeId(node): "no reply within the round's timeout" for node in asked.values()}
    for reply in replies:
        node = NodeId(asked[reply.metadata.reply_to_message_id])
        if reply.has_error():
            failed[node] = one_line(reply.error.reason or "an error without a reason")
        else:
            del failed[node]
            content[node] = reply.content
    return Replies(content=content, failed=failed)


def read_hellos(replies: Replies) -> tuple[dict[NodeId, Hello], dict[NodeId, str]]:
    """Return the hellos in replies, and why there is none from the other nodes."""
    hellos: dict[NodeId, Hello] = {}
    failed = dict(replies.failed)
    for node, content in replies.content.items():
        record = content.config_records.get(RECORD)
        if record is None:
            failed[node] = (
                "its ClientApp does not know DIGEST: make it ClientApp(mods=[digest_mod])"
            )
            continue
        try:
            hellos[node] = Hello.from_json(str(record[Key.HELLO]))
        except ConfigError as error:
            failed[node] = str(error)
    return hellos, failed


_WRAPPED = re.compile(r"""<class '([\w.]+)'>:<(["'])(.*)\2>""")
"""How Flower's deployment engine words an exception of a ClientApp."""

_SIMULATED = "ClientAppException occurred. Message: "
"""What comes before it in the simulation engine's wording, after a whole traceback."""


def one_line(reason: str) -> str:
    """Return an error's reason in one line, without the wrapping that Flower gives it.

    Our own errors are sentences and need no class; of any other the class is named.
    """
    line = " ".join(reason.split())
    _, simulated, message = line.rpartition(_SIMULATED)
    if simulated:
        return message.removesuffix("'>")
    wrapped = _WRAPPED.search(line)
    if wrapped is None:
        return line
    module, _, name = wrapped[1].rpartition(".")
    return wrapped[3] if module == "flwr_digest.errors" else f"{name}: {wrapped[3]}"
