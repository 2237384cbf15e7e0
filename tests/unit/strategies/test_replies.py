"""Who answered what, and why the others did not."""

from __future__ import annotations

import pytest
from flwr.app import Message, MessageType, RecordDict
from flwr.app.error import Error

from flwr_digest.core.ids import NodeId
from flwr_digest.strategies.replies import one_line, sort_replies
from tests.support.flower_grid import SERVER_ID

NODES = [NodeId(4), NodeId(6), NodeId(9)]


def sent() -> list[Message]:
    messages = [
        Message(RecordDict(), dst_node_id=node, message_type=MessageType.TRAIN) for node in NODES
    ]
    for number, message in enumerate(messages):
        message.metadata.__dict__["_message_id"] = f"m{number}"
    return messages


def test_answers_are_sorted_by_what_they_answer() -> None:
    messages = sent()
    replies = [Message(RecordDict(), reply_to=message) for message in reversed(messages)]
    result = sort_replies(messages, replies)
    assert sorted(result.content) == NODES
    assert result.failed == {}
    assert result.content[NODES[0]] is replies[2].content


def test_who_does_not_answer_is_named() -> None:
    messages = sent()
    result = sort_replies(messages, [Message(RecordDict(), reply_to=messages[1])])
    assert list(result.content) == [NODES[1]]
    assert result.failed == dict.fromkeys(
        (NODES[0], NODES[2]), "no reply within the round's timeout"
    )


def test_an_error_belongs_to_the_node_that_was_asked_whoever_sends_it() -> None:
    messages = sent()
    error = Message(Error(5, "Node is unavailable"), reply_to=messages[2])
    error.metadata.__dict__["_src_node_id"] = SERVER_ID  # Flower answers for a dead SuperNode
    good = [Message(RecordDict(), reply_to=message) for message in messages[:2]]
    result = sort_replies(messages, [error, *good])
    assert sorted(result.content) == NODES[:2]
    assert result.failed == {NODES[2]: "Node is unavailable"}


def test_an_error_without_a_reason_is_still_an_error() -> None:
    messages = sent()
    result = sort_replies(messages, [Message(Error(1), reply_to=messages[0])])
    assert result.failed[NODES[0]] == "an error without a reason"


def test_nothing_sent_is_nothing_missing() -> None:
    result = sort_replies([], [])
    assert (result.content, result.failed) == ({}, {})


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("<class 'flwr_digest.errors.ConfigError'>:<'no address'>", "no address"),
        ("<class 'ValueError'>:<'bad\n  data'>", "ValueError: bad data"),
        (
            "<class 'flwr.clientapp.client_app.ClientAppException'>:<'\n"
            "Exception ClientAppException occurred. Message: it's full'>",
            "it's full",
        ),
        ("ConfigError: plain", "ConfigError: plain"),
        ("ends with '>", "ends with '>"),
    ],
)
def test_flowers_wrapping_comes_off(reason: str, line: str) -> None:
    assert one_line(reason) == line
