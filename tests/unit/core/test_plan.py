"""Hellos and plans: they come back from JSON as they were, and nothing else passes for one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.core.config import StreamPlan
from flwr_digest.core.epoch import Told
from flwr_digest.core.ids import NO_FENCE, Fence, NodeId, Order, ShardId, StreamId
from flwr_digest.core.plan import PROTOCOL_VERSION, Hello, Peer, Plan
from flwr_digest.core.walk import Walk
from flwr_digest.errors import ConfigError
from tests.unit.core.builders import visiting

BIG = NodeId(2**64 - 2)
HELLO = Hello(
    address="10.0.0.5:7100",
    certificate="-----BEGIN CERTIFICATE-----\n...",
    kept={StreamId(0): Order(Fence(3, BIG), 17), StreamId(1): Order(NO_FENCE, 0)},
    generation=4,
    life=2**40,
    slots=2,
    examples=360,
    epoch=2,
    contents=({BIG: Told(7, 30)}, {}, {BIG: Told(7, 30)}),
)
ONE = NodeId(1)
PLAN = Plan(
    session="run 7, round 2",
    topology={ONE: frozenset({BIG}), BIG: frozenset({ONE})},
    peers={BIG: Peer(address="unix:/run/node.sock", certificate="")},
    streams={StreamId(0): visiting({ONE, BIG}, start=BIG)},
    weight=0.25,
    local_steps=10,
    drift_correction=True,
    walk=Walk.METROPOLIS,
    life=2**40,
    epoch=6,
    calls=3,
    steps_per_call=20,
    steps=500,
    seed=3,
    generation=4,
    session_seconds=120.0,
    insecure=True,
)

node_ids = st.integers(0, 2**64 - 2).map(NodeId)
counts = st.integers(0, 2**31)
orders = st.builds(Order, st.one_of(st.just(NO_FENCE), st.builds(Fence, counts, node_ids)), counts)
stream_ids = st.integers(0, 65_535).map(StreamId)
stream_plans = st.builds(
    StreamPlan,
    shard=st.integers(0, 2**16).map(ShardId),
    start=node_ids,
    members=st.frozensets(node_ids, max_size=4),
)
finite = st.floats(allow_nan=False, allow_infinity=False)
told = st.builds(Told, counts, counts)
hellos = st.builds(
    Hello,
    address=st.text(),
    certificate=st.text(),
    kept=st.dictionaries(stream_ids, orders, max_size=3),
    generation=counts,
    life=st.integers(0, 2**63),
    slots=counts,
    examples=st.none() | counts,
    epoch=counts,
    contents=st.lists(st.dictionaries(node_ids, told, max_size=3), max_size=3).map(tuple),
)
plans = st.builds(
    Plan,
    session=st.text(),
    topology=st.dictionaries(node_ids, st.frozensets(node_ids, max_size=4), max_size=4),
    peers=st.dictionaries(node_ids, st.builds(Peer, address=st.text(), certificate=st.text())),
    streams=st.dictionaries(stream_ids, stream_plans, max_size=3),
    weight=finite,
    local_steps=counts,
    drift_correction=st.booleans(),
    walk=st.sampled_from(Walk),
    life=st.integers(0, 2**63),
    epoch=counts,
    steps=st.none() | st.integers(1, 2**31),
    seed=st.integers(),
    generation=counts,
    session_seconds=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    insecure=st.booleans(),
)

BOTH: list[tuple[str, Callable[[str], object], str]] = [
    ("hello", Hello.from_json, HELLO.to_json()),
    ("plan", Plan.from_json, PLAN.to_json()),
]
both = pytest.mark.parametrize(("what", "read", "good"), BOTH, ids=["hello", "plan"])


def refusal(read: Callable[[str], object], text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(hellos)
def test_a_hello_comes_back_from_json(hello: Hello) -> None:
    assert Hello.from_json(hello.to_json()) == hello


@given(plans)
def test_a_plan_comes_back_from_json(plan: Plan) -> None:
    assert Plan.from_json(plan.to_json()) == plan


def test_contents_are_written_once_however_many_shards_have_them() -> None:
    written = json.loads(HELLO.to_json())["contents"]
    assert written == {"tables": [{str(BIG): [7, 30]}, {}], "shards": [0, 1, 0]}


@both
@pytest.mark.parametrize("text", ["", "{", "hello", "\x00"])
def test_what_is_no_json_is_refused(
    what: str, read: Callable[[str], object], good: str, text: str
) -> None:
    assert refusal(read, text).startswith(f"not a {what}: ")


@both
@pytest.mark.parametrize("version", [None, 0, PROTOCOL_VERSION + 1, "1"])
def test_another_version_is_refused_and_both_are_named(
    what: str, read: Callable[[str], object], good: str, version: object
) -> None:
    text = json.dumps({**json.loads(good), "version": version})
    assert refusal(read, text) == (
        f"a {what} of protocol version {version}, but this flwr-digest speaks version "
        f"{PROTOCOL_VERSION}: install the same flwr-digest on all nodes and the ServerApp"
    )


@both
@pytest.mark.parametrize("text", ["[]", "1", "null", "{}"])
def test_json_without_a_version_is_refused(
    what: str, read: Callable[[str], object], good: str, text: str
) -> None:
    assert refusal(read, text).startswith(f"a {what} of protocol version None, but ")


@both
def test_each_missing_field_is_named(what: str, read: Callable[[str], object], good: str) -> None:
    fields = json.loads(good)
    for name in fields.keys() - {"version"}:
        text = json.dumps({key: value for key, value in fields.items() if key != name})
        assert refusal(read, text) == f"not a {what} of this version: KeyError('{name}')"


@pytest.mark.parametrize(
    "changes",
    [
        {"topology": []},
        {"topology": {"one": [2]}},
        {"topology": {"1": 2}},
        {"peers": {"1": "10.0.0.5:7100"}},
        {"streams": {"first": [0, 1, 0]}},
        {"streams": {"0": 1}},
        {"streams": {"0": [0, 1]}},
        {"streams": {"0": [0, 1, 1]}},  # there is one region
        {"streams": {"0": [0, 1, "0"]}},
        {"regions": [1]},
        {"regions": {"0": [1, 2**64 - 2]}},
        {"regions": ["12"]},
        {"regions": "12"},
        {"topology": {"1": "2", "2": "1"}},
        {"walk": "crawl"},
        {"life": None},
        {"weight": "much"},
        {"local_steps": None},
        {"session_seconds": []},
    ],
)
def test_fields_of_another_kind_are_refused(changes: dict[str, object]) -> None:
    text = json.dumps({**json.loads(PLAN.to_json()), **changes})
    assert refusal(Plan.from_json, text).startswith("not a plan of this version: ")


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, -math.inf, "nan"])
def test_a_session_that_could_not_last_is_refused(seconds: object) -> None:
    text = json.dumps({**json.loads(PLAN.to_json()), "session_seconds": seconds})
    assert refusal(Plan.from_json, text) == (
        f"session_seconds of the plan is {float(str(seconds))}: it must be a number of seconds "
        "above 0"
    )


def test_regions_are_written_once_however_many_shards_tour_them() -> None:
    regions = [{ONE}, {ONE, BIG}]
    streams = {StreamId(k): visiting(regions[k % 2], shard=ShardId(k // 2)) for k in range(2 * 50)}
    plan = replace(PLAN, streams=streams)
    written = json.loads(plan.to_json())
    assert written["regions"] == [[1], [1, BIG]]
    assert written["streams"]["3"] == [1, 1, 1]  # shard, start, region
    assert Plan.from_json(plan.to_json()).streams == streams


def test_the_number_of_shards_is_that_of_the_streams() -> None:
    assert PLAN.shards == 1
    streams = {StreamId(k): visiting({ONE}, shard=ShardId(k // 2)) for k in range(6)}
    assert replace(PLAN, streams=streams).shards == 3


def test_the_core_is_told_what_the_plan_says() -> None:
    config = PLAN.node_config(BIG)
    assert config.neighbors == {1}
    assert (config.weight, config.local_steps, config.seed, config.generation) == (0.25, 10, 3, 4)
    assert (config.drift_correction, config.walk, config.life) == (True, Walk.METROPOLIS, 2**40)
    assert config.streams == PLAN.streams
    with pytest.raises(ConfigError, match="node 9 is not in its own topology"):
        PLAN.node_config(NodeId(9))


@pytest.mark.parametrize("name", ["calls", "steps_per_call"])
def test_a_plan_without_calls_is_refused(name: str) -> None:
    fields = json.loads(PLAN.to_json()) | {name: 0}
    with pytest.raises(ConfigError, match=f"{name} of the plan is 0: it must be 1 or more"):
        Plan.from_json(json.dumps(fields))
