"""Clients written from scratch: their own loops, step by step, in and outside of real runs."""

from __future__ import annotations

import doctest
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.app.message_type import MessageType
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg

from flwr_digest.clients import ArraySession, DigestSession, digest_mod, digest_session
from flwr_digest.clients.participation import Participation, Training
from flwr_digest.clients.record import NodeRecord
from flwr_digest.clients.store import NodeStore
from flwr_digest.core.plan import Phase
from flwr_digest.errors import ConfigError, DivergedError
from flwr_digest.strategies import Digest
from tests.support.digest_messages import context_of, digest_message, plan_for_one
from tests.support.flower_app import FIRST_STREAM, federation
from tests.support.flower_grid import RUN_ID, LocalGrid

NODES = [2, 3, 5, 7]
NODE = NODES[0]
STEPS = 30
RATE = 0.1

Arrays = Mapping[str, npt.NDArray[Any]]
Loop = Callable[[ArraySession], object]


def start(kind: type = np.float32) -> ArrayRecord:
    """Return an initial model of a vector, a number, and a counter that stays local."""
    values = {"weight": np.ones((2, 2), kind), "bias": np.zeros((), kind), "count": np.array(0)}
    return ArrayRecord({name: Array(value) for name, value in values.items()})


def gradients(model: Arrays, node: int) -> dict[str, npt.NDArray[Any]]:
    """Return those of half the squared distance to the node's own number, in all values."""
    return {name: model[name] - np.float32(node) for name in ("weight", "bias")}


def one_step(session: ArraySession, node: int) -> None:
    model = session.parameters()
    for name, gradient in session.corrected(gradients(model, node)).items():
        model[name] = model[name] - np.float32(RATE) * gradient
    model["count"] = model["count"] + 1
    session.stepped(model)


def session_app(
    *,
    mods: bool = True,
    loop: Callable[[ArraySession, int], None] = one_step,
    steps: int = STEPS,
) -> ClientApp:
    """Return an app whose loop is its own."""
    app = ClientApp(mods=[digest_mod] if mods else [])

    @app.train()
    def train(message: Message, context: Context) -> Message:
        with digest_session(message, steps=steps) as session:
            while session.going_on:
                loop(session, context.node_id)
        return session.reply({"num-examples": 10, "steps": session.steps})

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        mean = float(message.content.array_records["arrays"]["weight"].numpy().mean())
        metrics = MetricRecord({"mean": mean, "num-examples": 10})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return app


def digest(**changes: Any) -> Digest:  # noqa: ANN401
    options: dict[str, Any] = {"topology": "ring", "local_steps": 3, "session_seconds": 30.0}
    least = {"min_train_nodes": 4, "min_available_nodes": 4, "min_evaluate_nodes": 4}
    return Digest(**{**options, **least, **changes})


def memory(node: int = NODE) -> NodeRecord:
    record = NodeStore(RUN_ID, node).load()
    assert record is not None
    return record


# --- in runs of several nodes -------------------------------------------------------------------


@pytest.mark.parametrize("drift_correction", [False, True])
def test_the_streams_model_holds_each_nodes_work_once(
    sockets: Path, drift_correction: bool
) -> None:
    work = dict.fromkeys(NODES, 0.0)

    def loop(session: ArraySession, node: int) -> None:
        before = session.parameters()
        model = {name: value.copy() for name, value in before.items()}
        for name, gradient in session.corrected(gradients(before, node)).items():
            model[name] = model[name] - np.float32(RATE) * gradient
        work[node] += float(model["bias"]) - float(before["bias"])
        session.stepped(model)

    grid = federation(sockets, {node: session_app(loop=loop) for node in NODES})
    strategy = digest(shards=2, drift_correction=drift_correction)
    result = strategy.start(grid, start(), num_rounds=2)
    metrics = result.train_metrics_clientapp[2]
    assert metrics["steps"] == STEPS
    assert metrics["digest-forfeited-steps"] == metrics["digest-unshared-steps"] == 0
    moved = float(result.arrays["bias"].numpy()) - 0.0
    assert moved == pytest.approx(sum(work.values()) / len(NODES), abs=1e-4)
    assert sum(exchange.array_bytes for exchange in grid.of_phase("train", "evaluate")) == 0
    evaluated = result.evaluate_metrics_clientapp[2]["mean"]  # of the nodes' own freshest models
    assert evaluated == pytest.approx(result.arrays["weight"].numpy().mean(), abs=1e-4)
    for node in NODES:
        states = memory(node).states.values()
        assert [state.account.steps for state in states] == [2 * STEPS] * 2


def test_after_the_session_the_model_is_the_one_of_the_last_tour(sockets: Path) -> None:
    ends: dict[int, float] = {}
    app = ClientApp(mods=[digest_mod])

    @app.train()
    def train(message: Message, context: Context) -> Message:
        with digest_session(message, steps=STEPS) as session:
            while session.going_on:
                one_step(session, context.node_id)
        ends[context.node_id] = float(session.parameters()["bias"])
        return session.reply({"num-examples": 10})

    grid = federation(sockets, dict.fromkeys(NODES, app))
    result = digest(fraction_evaluate=0.0).start(grid, start(), num_rounds=1)
    for node in NODES:
        assert ends[node] == pytest.approx(float(result.arrays["bias"].numpy()), abs=1e-5)


def test_the_same_client_serves_fedavg_as_it_is(digest_home: Path) -> None:
    def plain(message: Message, context: Context) -> Message:
        given = message.content.array_records["arrays"]
        model: dict[str, npt.NDArray[Any]] = {n: a.numpy().copy() for n, a in given.items()}
        kinds = {name: value.dtype for name, value in model.items()}
        for _ in range(STEPS):
            for name, gradient in gradients(model, context.node_id).items():
                model[name] = np.asarray(model[name] - np.float32(RATE) * gradient, kinds[name])
            model["count"] = model["count"] + 1
        arrays = ArrayRecord({name: Array(np.asarray(value)) for name, value in model.items()})
        metrics = MetricRecord({"num-examples": 10})
        return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)

    def run(app: ClientApp, kind: type) -> ArrayRecord:
        # One node, so that what is compared does not depend on the order of a sum.
        grid = LocalGrid(apps={NODE: app}, contexts={NODE: context_of(NODE, {})})
        strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=1, min_available_nodes=1)
        return strategy.start(grid, start(kind), num_rounds=2).arrays

    bare = ClientApp()
    bare.train()(plain)
    for kind in (np.float32, np.float64, np.float16):
        expected = run(bare, kind)
        for mods in (True, False):
            arrays = run(session_app(mods=mods), kind)
            assert {n: a.dtype for n, a in arrays.items()} == {
                n: a.dtype for n, a in expected.items()
            }
            for name, array in expected.items():
                assert np.array_equal(arrays[name].numpy(), array.numpy())
    assert not digest_home.exists()


def test_the_example_in_the_documentation_runs_in_both_worlds(sockets: Path) -> None:
    space: dict[str, Any] = {}
    for example in doctest.DocTestParser().get_examples(digest_session.__doc__ or ""):
        exec(example.source, space)
    app = space["app"]
    initial = ArrayRecord({"weight": Array(np.zeros(4)), "bias": Array(np.zeros(()))})
    contexts = {
        node: context_of(node, {"digest-address": f"unix:{sockets}/{node}", "partition-id": node})
        for node in NODES
    }
    plain = FedAvg(min_train_nodes=4, min_available_nodes=4, min_evaluate_nodes=4)
    for strategy in (digest(drift_correction=True), plain):
        grid = LocalGrid(apps=dict.fromkeys(NODES, app), contexts=contexts)
        result = strategy.start(grid, initial, num_rounds=1)
        accuracy = result.evaluate_metrics_clientapp[1]["accuracy"]
        assert isinstance(accuracy, float)
        assert accuracy > 0.9


# --- at one node --------------------------------------------------------------------------------


@pytest.fixture
def context(sockets: Path) -> Context:
    return context_of(NODE, {"digest-address": f"unix:{sockets}/{NODE}"})


def run_alone(
    context: Context,
    handler: Callable[[Message], object],
    arrays: ArrayRecord | None = None,
    **changes: Any,  # noqa: ANN401
) -> Message:
    """Have a session of one node, whose train handler this is."""
    app = ClientApp(mods=[digest_mod])

    @app.train()
    def train(message: Message, context: Context) -> Message:
        reply = handler(message)
        return reply if isinstance(reply, Message) else Message(RecordDict(), reply_to=message)

    app(digest_message(Phase.HELLO, node=NODE, arrays=arrays or start()), context)
    plan = replace(plan_for_one(NODE), **changes)
    return app(digest_message(Phase.TRAIN, node=NODE, plan=plan), context)


def in_session(loop: Loop, steps: int = STEPS) -> Callable[[Message], Message]:
    """Return a handler that runs this in a session."""

    def handler(message: Message) -> Message:
        with digest_session(message, steps=steps) as session:
            loop(session)
        return session.reply({"num-examples": 10})

    return handler


def steps() -> int:
    return memory().states[FIRST_STREAM].account.steps


def until_the_end(session: ArraySession) -> None:
    while session.going_on:
        one_step(session, NODE)


def refusal(context: Context, loop: Loop, **changes: Any) -> str:  # noqa: ANN401
    with pytest.raises(ConfigError) as caught:
        run_alone(context, in_session(loop), **changes)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_the_reply_carries_metrics_and_no_model(context: Context) -> None:
    reply = run_alone(context, in_session(until_the_end))
    assert not reply.content.array_records
    assert reply.content.metric_records["metrics"]["num-examples"] == 10
    assert steps() == STEPS
    assert memory().rest["count"] == STEPS
    assert memory().model[4] == pytest.approx(NODE * (1 - (1 - RATE) ** STEPS), rel=1e-5)


def test_a_report_may_be_of_many_steps_from_any_framework(context: Context) -> None:
    def loop(session: ArraySession) -> None:
        while session.going_on:
            model = session.parameters()
            session.stepped(
                {"bias": 3.0, "weight": model["weight"].tolist(), "count": 7},  # type: ignore[dict-item]
                steps=12,
            )

    run_alone(context, in_session(loop), start(np.float64))
    assert steps() == 36  # the third report is begun with 24 of 30 made
    assert memory().model.tolist() == [1, 1, 1, 1, 3]


def test_the_plan_says_how_many_steps_a_round_has(context: Context) -> None:
    run_alone(context, in_session(until_the_end), steps=7)
    assert steps() == 7


def test_no_step_is_begun_that_would_end_in_the_last_tenth(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]

    def loop(session: ArraySession) -> None:
        while session.going_on:
            now[0] += 7.0
            one_step(session, NODE)
        assert not session.going_on

    with patch("flwr_digest.clients.loop.time", SimpleNamespace(monotonic=lambda: now[0])):
        run_alone(context, in_session(loop), session_seconds=30.0)
    assert steps() == 3  # 21 s; a fourth would end after 28 s, of 27
    assert caplog.text.count("time for 3 of 30 local steps (session_seconds=30)") == 1


def test_the_wait_for_neighbors_is_none_of_a_steps_time(context: Context) -> None:
    now = [0.0]
    share = Participation.share

    def late(self: Participation, training: Training) -> None:
        share(self, training)
        now[0] += 12.0

    def loop(session: ArraySession) -> None:
        while session.going_on:
            now[0] += 1.0
            one_step(session, NODE)

    with (
        patch("flwr_digest.clients.loop.time", SimpleNamespace(monotonic=lambda: now[0])),
        patch.object(Participation, "share", late),
    ):
        run_alone(context, in_session(loop), session_seconds=30.0)
    assert steps() == 15  # up to 27 s


def test_who_reports_on_a_model_of_their_own_is_counted_once(context: Context) -> None:
    def loop(session: ArraySession) -> None:
        model = session.parameters()
        for _ in range(3):
            model = {**model, "bias": model["bias"] + 1}
            session.stepped(model)

    run_alone(context, in_session(loop))
    assert (steps(), memory().model[4]) == (3, 3.0)


def test_a_loop_that_raises_keeps_what_it_has_trained(context: Context) -> None:
    def loop(session: ArraySession) -> None:
        one_step(session, NODE)
        raise ZeroDivisionError("by the user")

    with pytest.raises(ZeroDivisionError, match="by the user"):
        run_alone(context, in_session(loop))
    assert steps() == 1
    run_alone(context, in_session(until_the_end))
    assert steps() == 1 + STEPS


def test_training_that_diverges_says_so(context: Context) -> None:
    def loop(session: ArraySession) -> None:
        model = session.parameters()
        session.stepped({**model, "bias": np.float32(np.nan) + 0 * model["bias"]})

    with pytest.raises(DivergedError, match="not finite"):
        run_alone(context, in_session(loop))
    assert memory().model.tolist() == [1, 1, 1, 1, 0]


# --- bad input ----------------------------------------------------------------------------------


def test_other_arrays_than_given_are_refused_and_both_are_named(context: Context) -> None:
    def lost(session: ArraySession) -> None:
        session.stepped({"weight": session.parameters()["weight"]})

    line = refusal(context, lost)
    assert line.startswith("the training loop returned other arrays than it got: it got ")
    assert "bias[] float" in line
    message = Message(RecordDict({"arrays": start()}), dst_node_id=NODE, message_type="train")
    outside = digest_session(message, steps=1)
    with pytest.raises(ConfigError, match="the training loop returned other"), outside as session:
        lost(session)


def test_drift_correction_needs_the_gradients_of_each_step(context: Context) -> None:
    def uncorrected(session: ArraySession) -> None:
        session.stepped(session.parameters(), steps=3)

    plan = {"drift_correction": True}
    line = refusal(context, uncorrected, **plan)
    assert "drift correction acts at every local step: 3 were reported, after 0 calls" in line

    def unknown(session: ArraySession) -> None:
        session.corrected({"wait": np.zeros(2)})

    assert "a gradient of 'wait': there is no such array" in refusal(context, unknown, **plan)

    def count(session: ArraySession) -> None:
        session.corrected({"count": np.zeros(())})

    assert "no such array of floats" in refusal(context, count, **plan)

    def flat(session: ArraySession) -> None:
        session.corrected({"weight": np.zeros(4)})

    assert "shape (4,), the array (2, 2)" in refusal(context, flat, **plan)


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "3", True, None])
def test_steps_are_whole_and_above_zero(wrong: object) -> None:
    message = Message(RecordDict({"arrays": start()}), dst_node_id=NODE, message_type="train")
    with pytest.raises(ConfigError, match="1 or more"):
        digest_session(message, steps=wrong)  # type: ignore[call-overload]
    outside = digest_session(message, steps=1)
    with pytest.raises(ConfigError, match="1 or more"), outside as session:
        session.stepped(session.parameters(), steps=wrong)  # type: ignore[arg-type]


def test_a_step_before_entering_or_after_leaving_is_refused(context: Context) -> None:
    def handler(message: Message) -> None:
        session = digest_session(message, steps=1)
        with pytest.raises(ConfigError, match="with statement"):
            session.stepped(session.parameters())
        with session:
            one_step(session, NODE)
        one_step(session, NODE)

    with pytest.raises(ConfigError, match="between entering a digest_session and leaving it"):
        run_alone(context, handler)
    assert steps() == 1


def test_a_second_session_in_one_handler_is_refused(context: Context) -> None:
    def handler(message: Message) -> None:
        for _ in range(2):
            with digest_session(message, steps=1) as session:
                one_step(session, NODE)

    with pytest.raises(ConfigError, match=r"digest_session\(\) was called twice") as caught:
        run_alone(context, handler)
    assert "\n" not in str(caught.value)


def test_a_session_without_the_mod_says_what_is_missing() -> None:
    message = digest_message(Phase.HELLO, node=NODE, arrays=start())
    with pytest.raises(ConfigError, match=r"mods=\[digest_mod\]"):
        digest_session(message, steps=1)


@pytest.mark.parametrize("names", [[], ["arrays", "more"]])
def test_a_message_without_its_one_model_is_refused(names: list[str]) -> None:
    content = RecordDict({"config": ConfigRecord({"lr": 1.0})})
    for name in names:
        content[name] = start()
    message = Message(content, dst_node_id=NODE, message_type=MessageType.TRAIN)
    with pytest.raises(ConfigError, match=f"in it: {', '.join(names) or 'none'}"):
        digest_session(message, steps=1)


def test_it_is_one_kind_of_session() -> None:
    message = Message(RecordDict({"arrays": start()}), dst_node_id=NODE, message_type="train")
    session = digest_session(message, steps=1)
    assert isinstance(session, DigestSession)
    assert session.drift_correction is False
