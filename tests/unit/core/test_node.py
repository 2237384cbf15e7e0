"""A node refuses what no honest peer sends, and what no sound driver hands in."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pytest

from flwr_digest.core.effects import Rebase, Send
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
from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.core.messages import Hop, Inquiry
from flwr_digest.core.node import Node
from flwr_digest.core.shard import RATE_WINDOW_STEPS
from flwr_digest.core.state import first_state, for_new_session
from flwr_digest.core.stream import Visit
from flwr_digest.core.vector import Vector
from flwr_digest.errors import LocalProtocolError, RemoteProtocolError
from tests.unit.core.builders import (
    LAST,
    LIFE,
    OTHER,
    SHARD,
    STREAM,
    A,
    B,
    C,
    config,
    hop,
    hop_in,
    node_of,
    of_kind,
    steps,
    topology_of,
    vector,
    visiting,
)

UNKNOWN = StreamId(5)
PATH = topology_of(nx.path_graph(3))  # A and C are no neighbors


def node(*stream_ids: StreamId, **fields: Any) -> Node:  # noqa: ANN401
    """Return node A of the path, whose streams, each of its own shard, start at C."""
    chosen = stream_ids or (STREAM,)
    streams = {s: visiting(PATH, start=C, shard=ShardId(s)) for s in chosen}
    made = node_of(config(topology=PATH, streams=streams, **fields))
    made.handle(SessionStarted(), 0.0)
    made.handle(LinkUp(peer=B), 0.0)
    return made


def refused_from_a_peer(message: Hop | Inquiry, **fields: Any) -> str:  # noqa: ANN401
    made = node(**fields)
    before = made.states
    with pytest.raises(RemoteProtocolError) as caught:
        made.handle(MessageReceived(peer=B, message=message), 1.0)
    assert made.states == before
    return str(caught.value)


def refused_from_the_driver(event: Event, **fields: Any) -> str:  # noqa: ANN401
    with pytest.raises(LocalProtocolError) as caught:
        node(**fields).handle(event, 1.0)
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


def test_a_peer_must_send_rates_if_and_only_if_the_plan_has_them() -> None:
    text = refused_from_a_peer(hop(1, 1, rate=vector(1)))
    assert text == "node 1 sent stream 0 with gradient rates; the plan is without"
    text = refused_from_a_peer(hop(1, 1), drift_correction=True)
    assert text == "node 1 sent stream 0 with no gradient rates; the plan is with"


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


def test_a_driver_knows_the_streams_of_the_plan() -> None:
    event = TimerFired(timer=Timer(kind=TimerKind.LOST, stream_id=UNKNOWN))
    assert refused_from_the_driver(event) == "there is no stream 5 in the plan"


def test_a_driver_knows_the_shards_of_the_plan() -> None:
    text = refused_from_the_driver(steps(1, shard=ShardId(5)))
    assert text == "there is no shard 5 in the plan"


def test_with_drift_correction_local_steps_come_with_gradients() -> None:
    text = refused_from_the_driver(steps(1), drift_correction=True)
    assert text == "local steps without gradients: drift correction needs them"


def test_there_is_one_state_for_each_stream() -> None:
    states = {UNKNOWN: first_state(UNKNOWN, vector(0), LIFE)}
    with pytest.raises(LocalProtocolError, match=r"states for streams \[5\], .* has \[0\]"):
        Node(config(), states)


@pytest.mark.parametrize("correct", [False, True])
def test_states_carry_rates_if_and_only_if_the_plan_has_them(correct: bool) -> None:
    state = for_new_session(first_state(STREAM, vector(0), LIFE), drift_correction=not correct)
    with pytest.raises(LocalProtocolError, match="node 0: states with other rates than the plan's"):
        Node(config(drift_correction=correct), {STREAM: state})


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
    event = LocalSteps(shard=SHARD, steps=steps, displacement=displacement)
    assert refused_from_the_driver(event) == f"{text}: 0 or more, and (1,), are possible"


def test_local_steps_belong_to_one_shard_alone() -> None:
    made = node(STREAM, OTHER)
    made.handle(steps(3), 1.0)
    assert [made.states[s].account.steps for s in (STREAM, OTHER)] == [3, 0]
    assert made.handle(steps(2, shard=ShardId(1)), 2.0) == []  # nothing is held
    assert [made.states[s].account.steps for s in (STREAM, OTHER)] == [3, 2]


def test_a_node_that_comes_back_goes_on_from_the_rate_that_it_has_given() -> None:
    made = node(drift_correction=True)
    made.handle(steps(RATE_WINDOW_STEPS, gradients=RATE_WINDOW_STEPS * 3.0), 1.0)
    again = Node(made.config, made.states)
    again.handle(LinkUp(peer=B), 1.5)
    again.handle(steps(RATE_WINDOW_STEPS, gradients=RATE_WINDOW_STEPS * 5.0), 2.0)
    copy = hop(1, 1, rate=vector(0))
    _, left = hop_in(again.handle(MessageReceived(peer=B, message=copy), 3.0))
    assert left.stream.rate == vector(5)  # and not 8


def test_each_shard_has_its_own_stream_that_leaves_by_itself() -> None:
    made = node(STREAM, OTHER, local_steps=2)
    for stream_id in (STREAM, OTHER):
        made.handle(MessageReceived(peer=B, message=hop(1, 1, stream_id=stream_id, tour=LAST)), 1.0)
    _, left = hop_in(made.handle(steps(2, shard=ShardId(1)), 2.0))
    assert (left.stream.stream_id, left.stream.model.item()) == (OTHER, 2)
    assert made.stations[STREAM].held


def test_a_rebase_names_the_shard() -> None:
    made = node(STREAM, OTHER)
    effects = made.handle(MessageReceived(peer=B, message=hop(1, 1, stream_id=OTHER)), 1.0)
    assert [rebase.shard for rebase in of_kind(Rebase, effects)] == [ShardId(1)]


def test_the_end_of_training_belongs_to_all_streams() -> None:
    made = node(STREAM, OTHER)
    made.handle(TrainingFinished(), 1.0)
    assert all(station.visits.finished for station in made.stations.values())


def test_a_node_is_closed_when_all_its_streams_are() -> None:
    made = node(STREAM, OTHER)
    made.stations[STREAM].ending.closed = True
    assert not made.closed
    made.stations[OTHER].ending.closed = True
    assert made.closed


# --- streams of other regions --------------------------------------------------------------------

REGIONS = {STREAM: visiting({A, B}), OTHER: visiting({B, C})}


def test_a_node_has_states_of_the_streams_that_visit_it_alone() -> None:
    made = node_of(config(topology=PATH, streams=REGIONS))
    assert made.states.keys() == made.members.keys() == {STREAM}
    states = {s: first_state(s, vector(0), LIFE) for s in REGIONS}
    with pytest.raises(LocalProtocolError, match=r"states for streams \[0, 1\], .* has \[0\]"):
        Node(config(topology=PATH, streams=REGIONS), states)


def test_what_passes_through_is_neither_kept_for_later_nor_awaited() -> None:
    made = node_of(config(topology=PATH, streams=REGIONS))
    made.handle(LinkUp(peer=B), 0.0)
    made.handle(MessageReceived(peer=B, message=Inquiry(stream_id=OTHER)), 1.0)
    assert made.stations.keys() == {STREAM, OTHER}
    assert made.states.keys() == {STREAM}
    made.stations[STREAM].ending.closed = True
    assert made.closed


def test_whoever_sees_a_stream_pass_through_knows_its_shape() -> None:
    made = node_of(config(topology=PATH, streams=REGIONS))
    with pytest.raises(RemoteProtocolError, match="sent stream 1 with 2 values; the plan has 1"):
        made.handle(
            MessageReceived(peer=B, message=hop(1, 1, stream_id=OTHER, model=vector(1, 2))), 1.0
        )


def test_local_steps_go_to_all_streams_of_the_shard() -> None:
    made = node_of(config(node_id=B, topology=PATH, streams=REGIONS))
    made.handle(steps(3), 1.0)
    assert [made.states[s].account.steps for s in (STREAM, OTHER)] == [3, 3]
