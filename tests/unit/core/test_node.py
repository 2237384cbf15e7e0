"""A node refuses what no honest peer sends, and what no sound driver hands in."""

from __future__ import annotations

import networkx as nx
import pytest

from flwr_digest.core.effects import Send
from flwr_digest.core.events import (
    Event,
    LinkDown,
    LinkUp,
    LocalSteps,
    MessageReceived,
    SessionStarted,
    Timer,
    TimerFired,
    TimerKind,
    TrainingFinished,
)
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.messages import Hop, Inquiry
from flwr_digest.core.node import Node
from flwr_digest.core.state import first_state
from flwr_digest.core.stream import Visit
from flwr_digest.core.vector import Vector
from flwr_digest.errors import LocalProtocolError, RemoteProtocolError
from tests.unit.core.builders import (
    LIFE,
    STREAM,
    B,
    C,
    config,
    hop,
    of_kind,
    steps,
    topology_of,
    vector,
)

OTHER = StreamId(1)
UNKNOWN = StreamId(5)
PATH = topology_of(nx.path_graph(3))  # A and C are no neighbors


def node(*stream_ids: StreamId) -> Node:
    chosen = stream_ids or (STREAM,)
    states = {stream_id: first_state(stream_id, vector(0), LIFE) for stream_id in chosen}
    made = Node(config(topology=PATH, streams=dict.fromkeys(chosen, C)), states)
    made.handle(SessionStarted(), 0.0)
    made.handle(LinkUp(peer=B), 0.0)
    return made


def refused_from_a_peer(message: Hop | Inquiry) -> str:
    made = node()
    before = made.states
    with pytest.raises(RemoteProtocolError) as caught:
        made.handle(MessageReceived(peer=B, message=message), 1.0)
    assert made.states == before
    return str(caught.value)


def refused_from_the_driver(event: Event) -> str:
    with pytest.raises(LocalProtocolError) as caught:
        node().handle(event, 1.0)
    return str(caught.value)


def test_a_peer_must_not_speak_of_a_stream_outside_the_plan() -> None:
    text = refused_from_a_peer(Inquiry(stream_id=UNKNOWN))
    assert text == "node 1 speaks of stream 5: not in the plan"


def test_a_peer_must_not_hand_on_a_stream_outside_the_plan() -> None:
    text = refused_from_a_peer(hop(1, 1, stream_id=UNKNOWN))
    assert text == "node 1 speaks of stream 5: not in the plan"


def test_a_peer_must_not_send_a_model_of_another_shape() -> None:
    text = refused_from_a_peer(hop(1, 1, model=vector(1, 2)))
    assert text == "node 1 sent stream 0 with 2 values; the plan has 1"


def test_a_stream_may_have_visited_members_of_earlier_sessions() -> None:
    former = {NodeId(9): Visit(life=1, number=1, hop=1, steps=1)}
    made = node()
    made.handle(MessageReceived(peer=B, message=hop(1, 1, visits=former)), 1.0)
    assert made.stations[STREAM].kept.visits.items() > former.items()


def test_messages_come_from_neighbors_only() -> None:
    text = refused_from_the_driver(MessageReceived(peer=C, message=Inquiry(stream_id=STREAM)))
    assert text == "node 2 is no neighbor of node 0"


def test_links_lead_to_neighbors_only() -> None:
    assert refused_from_the_driver(LinkUp(peer=C)) == "node 2 is no neighbor of node 0"


@pytest.mark.parametrize(
    "event",
    [
        LocalSteps(stream_id=UNKNOWN, steps=1, displacement=vector(1)),
        TimerFired(timer=Timer(kind=TimerKind.LOST, stream_id=UNKNOWN)),
    ],
)
def test_a_driver_knows_the_streams_of_the_plan(event: Event) -> None:
    assert refused_from_the_driver(event) == "there is no stream 5 in the plan"


def test_there_is_one_state_for_each_stream() -> None:
    states = {UNKNOWN: first_state(UNKNOWN, vector(0), LIFE)}
    with pytest.raises(LocalProtocolError, match=r"states for streams \[5\], .* has \[0\]"):
        Node(config(), states)


def test_only_live_links_are_used() -> None:
    made = node()
    made.handle(LinkDown(peer=B), 1.0)
    assert (
        of_kind(
            Send, made.handle(TimerFired(timer=Timer(kind=TimerKind.LOST, stream_id=STREAM)), 30.0)
        )
        == []
    )
    made.handle(LinkUp(peer=B), 31.0)
    effects = made.handle(TimerFired(timer=Timer(kind=TimerKind.LOST, stream_id=STREAM)), 60.0)
    assert of_kind(Send, effects) == [Send(peer=B, message=Inquiry(stream_id=STREAM))]


@pytest.mark.parametrize(
    ("steps", "displacement", "text"),
    [
        (-1, vector(1), "-1 local steps with a displacement of shape (1,)"),
        (1, vector(1, 2), "1 local steps with a displacement of shape (2,)"),
    ],
)
def test_local_steps_are_counted_and_fit_the_model(
    steps: int, displacement: Vector, text: str
) -> None:
    event = LocalSteps(stream_id=STREAM, steps=steps, displacement=displacement)
    assert refused_from_the_driver(event) == f"{text}: 0 or more, and (1,), are possible"


def test_local_steps_belong_to_one_stream_alone() -> None:
    made = node(STREAM, OTHER)
    made.handle(steps(3), 1.0)
    assert [made.stations[s].account.steps for s in (STREAM, OTHER)] == [3, 0]


def test_the_end_of_training_belongs_to_all_streams() -> None:
    made = node(STREAM, OTHER)
    made.handle(TrainingFinished(), 1.0)
    assert all(station.finished for station in made.stations.values())


def test_a_node_is_closed_when_all_its_streams_are() -> None:
    made = node(STREAM, OTHER)
    made.stations[STREAM].closed = True
    assert not made.closed
    made.stations[OTHER].closed = True
    assert made.closed
