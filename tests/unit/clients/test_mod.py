"""The mod, message by message, with a real app, a real store and a real session of one node."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from unittest.mock import patch

import numpy as np
import pytest
import torch
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Message,
    MessageType,
    MetricRecord,
    RecordDict,
)
from flwr.client import NumPyClient
from flwr.clientapp import ClientApp
from torch import nn

from flwr_digest.clients import attach, digest_mod
from flwr_digest.clients.active import current
from flwr_digest.clients.record import NodeRecord
from flwr_digest.clients.store import NodeStore
from flwr_digest.core.ids import StreamId
from flwr_digest.core.plan import Hello, Phase
from flwr_digest.errors import ConfigError, DigestError, StateError
from flwr_digest.launch.ports import free_ports
from flwr_digest.overlay.statefile import Arrays, StateFile
from tests.support.digest_messages import context_of, digest_message, plan_for_one
from tests.support.flower_app import (
    EXAMPLES,
    FIRST_STREAM,
    STEPS,
    Net,
    client_app,
    initial_arrays,
)
from tests.support.flower_grid import RUN_ID
from tests.support.full_disk import FULL

NODE = 9
TrainHandler = Callable[[Message], RecordDict | None]


@pytest.fixture
def context(sockets: Path) -> Context:
    return context_of(NODE, {"digest-address": f"unix:{sockets}/{NODE}"})


def app_of(handler: TrainHandler) -> ClientApp:
    """Return an app with the mod and nothing but a train handler."""
    app = ClientApp(mods=[digest_mod])

    @app.train()
    def train(message: Message, context: Context) -> Message:
        return Message(handler(message) or RecordDict(), reply_to=message)

    return app


def say_hello(context: Context, *, insecure: bool = False) -> Hello:
    message = digest_message(Phase.HELLO, node=NODE, arrays=initial_arrays(), insecure=insecure)
    reply = client_app()(message, context)
    return Hello.from_json(str(reply.content.config_records["digest"]["hello"]))


def train(
    app: ClientApp, context: Context, *, shards: int = 1, drift_correction: bool = False
) -> Message:
    plan = plan_for_one(NODE, shards=shards, drift_correction=drift_correction)
    return app(digest_message(Phase.TRAIN, node=NODE, plan=plan), context)


def memory() -> NodeRecord:
    record = NodeStore(RUN_ID, NODE).load()
    assert record is not None
    return record


@contextmanager
def refused(*parts: str, kind: type[DigestError] = ConfigError) -> Iterator[None]:
    with pytest.raises(kind) as caught:
        yield
    line = str(caught.value)
    assert "\n" not in line
    for part in parts:
        assert part in line


# --- what is none of our business ---------------------------------------------------------------


def test_other_messages_pass_untouched(context: Context, digest_home: Path) -> None:
    seen: list[Message] = []
    content = RecordDict({"arrays": initial_arrays(), "config": ConfigRecord({"lr": 1.0})})
    message = Message(content, dst_node_id=NODE, message_type=MessageType.TRAIN)

    def call_next(message: Message, context: Context) -> Message:
        seen.append(message)
        return Message(RecordDict({"arrays": initial_arrays()}), reply_to=message)

    reply = digest_mod(message, context, call_next)
    assert seen == [message]
    assert list(message.content) == ["arrays", "config"]
    assert list(reply.content.array_records) == ["arrays"]
    assert not digest_home.exists()


def test_attach_outside_a_run_does_nothing() -> None:
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    places = [parameter.data_ptr() for parameter in model.parameters()]
    attach(model, optimizer)
    attach(model, optimizer)
    assert [parameter.data_ptr() for parameter in model.parameters()] == places
    assert not optimizer._optimizer_step_post_hooks


# --- hello --------------------------------------------------------------------------------------


def test_a_hello_stores_the_model_and_introduces_the_node(context: Context, sockets: Path) -> None:
    hello = say_hello(context)
    assert hello.address == f"unix:{sockets}/{NODE}"
    assert hello.certificate.startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE" not in hello.certificate
    assert (hello.kept, hello.generation, hello.slots) == ({}, 0, 0)
    assert hello.life == memory().life > 0
    assert memory().order == tuple(initial_arrays())
    assert NodeStore(RUN_ID, NODE).load_identity().certificate.decode() == hello.certificate


def test_a_plaintext_hello_makes_no_key(context: Context) -> None:
    assert say_hello(context, insecure=True).certificate == ""
    with pytest.raises(StateError):
        NodeStore(RUN_ID, NODE).load_identity()


def test_a_second_hello_keeps_the_memory_and_makes_a_new_identity(context: Context) -> None:
    first = say_hello(context)
    train(client_app(), context)
    before = memory()
    second = say_hello(context)  # the message brings the initial model again
    assert np.array_equal(memory().model, before.model)
    assert (list(first.kept), list(second.kept)) == ([], [FIRST_STREAM])
    assert second.generation > first.generation
    assert second.life == first.life
    assert second.certificate != first.certificate


def test_a_torn_memory_is_said_aloud_and_the_node_starts_anew(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    say_hello(context)
    state = NodeStore(RUN_ID, NODE).folder / "state.digest"
    state.write_bytes(state.read_bytes()[:100])
    say_hello(context)
    assert "is torn" in caplog.text
    assert memory().states == {}


def test_a_hello_from_a_taken_address_is_refused() -> None:
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)), refused(f"127.0.0.1:{port}"):
        say_hello(context_of(NODE, {"digest-address": f"127.0.0.1:{port}"}))


def test_a_hello_with_a_model_that_cannot_travel_is_refused(context: Context) -> None:
    arrays = ArrayRecord({"w": Array(np.zeros(2, np.float16))})
    with refused("array w is float16", "float32, or float64"):
        client_app()(digest_message(Phase.HELLO, node=NODE, arrays=arrays), context)
    assert NodeStore(RUN_ID, NODE).load() is None


# --- train --------------------------------------------------------------------------------------


def test_the_handler_sees_what_fedavg_would_send(context: Context) -> None:
    seen: list[Message] = []

    def handler(message: Message) -> RecordDict:
        seen.append(message)
        model = Net()
        model.load_state_dict(message.content.array_records["arrays"].to_torch_state_dict())
        attach(model, torch.optim.SGD(model.parameters(), lr=0.1))
        return RecordDict()

    say_hello(context)
    train(app_of(handler), context)
    (message,) = seen
    assert sorted(message.content) == ["arrays", "config"]
    assert message.content.config_records["config"]["lr"] == 0.1
    arrays, start = message.content.array_records["arrays"], initial_arrays()
    assert list(arrays) == list(start)
    assert all(np.array_equal(arrays[name].numpy(), start[name].numpy()) for name in start)
    assert all(arrays[name].shape == start[name].shape for name in start)


def test_the_reply_carries_metrics_and_the_next_hello_but_no_arrays(context: Context) -> None:
    first = say_hello(context)
    reply = train(client_app(), context)
    assert not reply.content.array_records
    assert reply.content.metric_records["metrics"]["num-examples"] == EXAMPLES
    record = reply.content.config_records["digest"]
    hello = Hello.from_json(str(record["hello"]))
    assert hello.kept == {FIRST_STREAM: memory().states[FIRST_STREAM].kept.order}
    assert hello.certificate != first.certificate
    report = json.loads(str(record["report"]))
    assert report["unreached"] == {}
    assert report["totals"]["visits"] > 0


def test_what_was_trained_is_remembered(context: Context) -> None:
    say_hello(context)
    before = memory().model
    train(client_app(), context)
    after = memory()
    assert after.states[FIRST_STREAM].account.steps == STEPS
    assert not np.array_equal(after.model, before)
    np.testing.assert_allclose(
        after.states[FIRST_STREAM].kept.model, after.model, rtol=0, atol=1e-6
    )  # the only node: its model is the stream's


def test_an_array_that_the_handler_hides_elsewhere_is_left_out_too(context: Context) -> None:
    def handler(message: Message) -> RecordDict:
        model = Net()
        model.load_state_dict(message.content.array_records["arrays"].to_torch_state_dict())
        attach(model, torch.optim.SGD(model.parameters(), lr=0.1))
        return RecordDict(
            {
                "gradients": initial_arrays(),
                "digest": ConfigRecord({"hello": "forged"}),
                "other": MetricRecord({"x": 1}),
            }
        )

    say_hello(context)
    reply = train(app_of(handler), context)
    assert sorted(reply.content) == ["digest", "other"]
    assert reply.content.config_records["digest"]["hello"] != "forged"


def test_training_without_attach_counts_as_one_step(context: Context) -> None:
    say_hello(context)
    before = memory().model
    reply = train(client_app(attached=False), context)
    assert reply.content.metric_records["metrics"]["num-examples"] == EXAMPLES
    assert not reply.content.array_records
    assert memory().states[FIRST_STREAM].account.steps == 1
    assert not np.array_equal(memory().model, before)
    assert memory().rest["norm.num_batches_tracked"] == STEPS


def test_a_handler_that_raises_leaves_nothing_behind(context: Context) -> None:
    def at_step(node: int, step: int) -> None:
        if step == 5:
            raise ZeroDivisionError("by the user")

    say_hello(context)
    with pytest.raises(ZeroDivisionError, match="by the user"):
        train(client_app(at_step=at_step), context)
    assert current.get() is None
    assert memory().states[FIRST_STREAM].account.steps == 5
    model = Net()
    attach(model, torch.optim.SGD(model.parameters(), lr=0.1))  # no run any more: does nothing
    say_hello(context)
    train(client_app(), context)
    assert memory().states[FIRST_STREAM].account.steps == 5 + STEPS


def test_a_handler_that_raises_in_the_middle_of_a_step_ends_too(context: Context) -> None:
    def handler(message: Message) -> None:
        model = loaded(message)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        attach(model, optimizer)
        optimizer.step(lambda: 1 / 0)

    ended = Event()

    def run() -> None:
        with pytest.raises(ZeroDivisionError):
            train(app_of(handler), context)
        ended.set()

    say_hello(context)
    thread = Thread(target=run, daemon=True)
    thread.start()
    assert ended.wait(20.0)
    thread.join(20.0)
    assert memory().states[FIRST_STREAM].account.steps == 0


def test_the_optimizer_is_left_as_it_was(context: Context) -> None:
    kept: list[torch.optim.Optimizer] = []
    app = client_app(before_attach=lambda node, model, optimizer: kept.append(optimizer))
    say_hello(context)
    train(app, context)
    (optimizer,) = kept
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


def test_training_before_any_hello_is_refused(context: Context) -> None:
    with refused(kind=StateError):
        train(client_app(), context)


def test_a_session_that_never_began_leaves_the_account_open(context: Context) -> None:
    say_hello(context)
    train(client_app(), context)
    (NodeStore(RUN_ID, NODE).folder / "key.pem").unlink()
    with refused("key is gone", kind=StateError):
        train(client_app(), context)
    say_hello(context)
    life = memory().states[FIRST_STREAM].account.life
    train(client_app(), context)
    account = memory().states[FIRST_STREAM].account
    assert (account.life, account.steps) == (life, 2 * STEPS)


def test_an_account_that_was_cut_off_has_no_life_to_tell_of(context: Context) -> None:
    say_hello(context)
    store = NodeStore(RUN_ID, NODE)
    keeper = store.keeper(memory(), share=0.0)
    keeper.begin({})
    keeper.keep({})  # a visit that is not saved; and here the process is killed
    assert say_hello(context).life == 0
    reply = train(client_app(), context)
    hello = Hello.from_json(str(reply.content.config_records["digest"]["hello"]))
    assert hello.life == memory().life == memory().states[FIRST_STREAM].account.life > 0


@pytest.mark.parametrize("drift_correction", [False, True])
def test_each_shard_has_an_account_of_all_steps(context: Context, drift_correction: bool) -> None:
    say_hello(context)
    for times in (1, 2):
        reply = train(client_app(), context, shards=3, drift_correction=drift_correction)
        states = memory().states
        assert sorted(states) == [0, 1, 2]
        assert [state.account.steps for state in states.values()] == [times * STEPS] * 3
        assert [state.kept.model.size for state in states.values()] == [30, 30, 30]
        hello = Hello.from_json(str(reply.content.config_records["digest"]["hello"]))
        assert hello.kept == {stream: state.kept.order for stream, state in states.items()}


def test_another_cut_than_in_the_last_session_is_refused(context: Context) -> None:
    say_hello(context)
    train(client_app(), context, shards=2)
    before = memory()
    with refused("had 2 shards in 1 region", "the plan has 3 shards", "stay the same"):
        train(client_app(), context, shards=3)
    train(client_app(), context, shards=2)
    assert memory().life == before.life  # it never began the session that it refused
    assert memory().states[FIRST_STREAM].account.steps == 2 * STEPS


def test_a_full_disk_after_training_costs_no_reply_and_no_work(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    say_hello(context)
    with session_files_full():
        reply = train(client_app(), context)
    assert "cannot save this node's state" in caplog.text
    record = memory()
    hello = Hello.from_json(str(reply.content.config_records["digest"]["hello"]))
    assert hello.life == record.life > 0
    assert hello.kept == {FIRST_STREAM: record.states[FIRST_STREAM].kept.order}
    assert record.states[FIRST_STREAM].account.steps == STEPS
    train(client_app(), context)
    assert memory().states[FIRST_STREAM].account.steps == 2 * STEPS
    assert NodeStore(RUN_ID, NODE).load() is not None


@contextmanager
def session_files_full() -> Iterator[None]:
    """Let no new state file be written; in an old one there still is room."""

    def save(file: StateFile, arrays: Arrays) -> None:
        raise OSError(errno.ENOSPC, FULL)

    with patch.object(StateFile, "save", save):
        yield


def test_a_share_that_is_none_is_refused_before_anything_is_done(sockets: Path) -> None:
    config = {"digest-address": f"unix:{sockets}/{NODE}"}
    say_hello(context_of(NODE, config))
    for wrong, told in ((2, "is 2.0"), ("much", "is 'much'")):
        with refused(f"digest-save-share in the node-config {told}"):
            train(client_app(), context_of(NODE, {**config, "digest-save-share": wrong}))
    train(client_app(), context_of(NODE, {**config, "digest-save-share": 1}))
    assert memory().states[FIRST_STREAM].account.steps == STEPS


# --- attach -------------------------------------------------------------------------------------


def loaded(message: Message, make: Callable[[], nn.Module] = Net) -> nn.Module:
    model = make()
    model.load_state_dict(message.content.array_records["arrays"].to_torch_state_dict())
    return model


def test_attaching_twice_is_refused(context: Context) -> None:
    def handler(message: Message) -> None:
        model = loaded(message)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        attach(model, optimizer)
        attach(model, optimizer)

    say_hello(context)
    with refused("attach() was called twice"):
        train(app_of(handler), context)


def test_another_model_is_refused_and_both_are_named(context: Context) -> None:
    def handler(message: Message) -> None:
        model = nn.Linear(3, 2)
        attach(model, torch.optim.SGD(model.parameters(), lr=0.1))

    say_hello(context)
    with refused("weight[2,3] here is hidden.weight[8,4] there", "here: 8 values", "there: 90"):
        train(app_of(handler), context)


def test_attaching_before_the_model_is_loaded_is_refused(context: Context) -> None:
    def handler(message: Message) -> None:
        torch.manual_seed(1)
        model = Net()
        attach(model, torch.optim.SGD(model.parameters(), lr=0.1))

    say_hello(context)
    with refused("load the arrays into the model first"):
        train(app_of(handler), context)


def test_the_optimizer_of_another_model_is_refused(context: Context) -> None:
    def handler(message: Message) -> None:
        attach(loaded(message), torch.optim.SGD(Net().parameters(), lr=0.1))

    say_hello(context)
    with refused("holds none of the model's parameters"):
        train(app_of(handler), context)


def test_a_model_that_was_moved_after_attach_is_found(context: Context) -> None:
    def handler(message: Message) -> None:
        model = loaded(message)
        attach(model, torch.optim.SGD(model.parameters(), lr=0.1))
        model.load_state_dict(Net().state_dict(), assign=True)

    say_hello(context)
    with refused("moved after attach()"):
        train(app_of(handler), context)


def test_tied_weights_travel_and_come_back_tied(context: Context) -> None:
    def make() -> nn.Module:
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        model[1].weight = model[0].weight
        return model

    def handler(message: Message) -> None:
        model = loaded(message, make)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        attach(model, optimizer)
        for number in range(6):
            optimizer.zero_grad()
            inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(number))
            model(inputs).square().mean().backward()
            optimizer.step()

    arrays = initial_arrays(make)
    app = app_of(handler)
    app(digest_message(Phase.HELLO, node=NODE, arrays=arrays), context)
    train(app, context)
    reply = app(digest_message(Phase.COLLECT, node=NODE), context)
    end = reply.content.array_records["arrays"]
    assert not np.array_equal(end["0.weight"].numpy(), arrays["0.weight"].numpy())
    assert np.array_equal(end["0.weight"].numpy(), end["1.weight"].numpy())
    train(app, context)  # and the next round finds them equal


def test_two_nodes_in_one_process_do_not_mix(sockets: Path) -> None:
    """Flower's simulation keeps processes alive from node to node."""
    first = context_of(NODE, {"digest-address": f"unix:{sockets}/a"})
    other = context_of(NODE + 1, {"digest-address": f"unix:{sockets}/b"})
    arrays = initial_arrays()
    app, entered = client_app(), Event()
    for context in (first, other):
        message = digest_message(Phase.HELLO, node=context.node_id, arrays=arrays)
        app(message, context)
    train(client_app(at_step=lambda node, step: entered.set()), first)
    assert entered.is_set()
    untouched = NodeStore(RUN_ID, NODE + 1).load()
    assert untouched is not None
    assert untouched.states == {}


# --- evaluate and collect -----------------------------------------------------------------------


def test_evaluation_is_of_the_nodes_own_model(context: Context) -> None:
    seen: list[ArrayRecord] = []
    app = ClientApp(mods=[digest_mod])

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        assert sorted(message.content) == ["arrays", "config"]
        seen.append(message.content.array_records["arrays"])
        metrics = MetricRecord({"loss": 0.5})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    say_hello(context)
    train(client_app(), context)
    reply = app(digest_message(Phase.EVALUATE, node=NODE), context)
    assert reply.content.metric_records["metrics"]["loss"] == 0.5
    floats = [a.numpy().ravel() for a in seen[0].values() if a.numpy().dtype == np.float32]
    assert np.array_equal(np.concatenate(floats), memory().model)
    given = initial_arrays()["hidden.weight"].numpy()
    assert not np.array_equal(seen[0]["hidden.weight"].numpy(), given)


@pytest.mark.parametrize("shards", [1, 4])
def test_collecting_sends_the_streams_model_under_the_users_key(
    context: Context, shards: int
) -> None:
    say_hello(context)
    train(client_app(), context, shards=shards)
    reply = client_app()(digest_message(Phase.COLLECT, node=NODE), context)
    arrays = reply.content.array_records["arrays"]
    floats = [a.numpy().ravel() for a in arrays.values() if a.numpy().dtype == np.float32]
    kept = [np.asarray(memory().states[StreamId(s)].kept.model) for s in range(shards)]
    assert np.array_equal(np.concatenate(floats), np.concatenate(kept))
    np.testing.assert_allclose(np.concatenate(kept), memory().model, rtol=0, atol=1e-6)
    Net().load_state_dict(arrays.to_torch_state_dict())


@pytest.mark.parametrize("phase", [Phase.TRAIN, Phase.EVALUATE])
def test_a_client_of_flowers_old_api_is_told_what_to_change(context: Context, phase: Phase) -> None:
    say_hello(context)
    app = ClientApp(client_fn=lambda _: NumPyClient().to_client(), mods=[digest_mod])
    plan = plan_for_one(NODE)
    with refused("client_fn", "@app.train()"):
        app(digest_message(phase, node=NODE, plan=plan), context)


@pytest.mark.parametrize("phase", [Phase.TRAIN, Phase.EVALUATE])
def test_a_handler_that_misses_a_key_tells_so_itself(context: Context, phase: Phase) -> None:
    say_hello(context)
    app = ClientApp(mods=[digest_mod])

    @app.train()
    @app.evaluate()
    def handler(message: Message, context: Context) -> Message:
        return Message(RecordDict({"it": message.content["mine"]}), reply_to=message)

    with pytest.raises(KeyError, match="mine"):
        app(digest_message(phase, node=NODE, plan=plan_for_one(NODE)), context)


@pytest.mark.parametrize("phase", [Phase.EVALUATE, Phase.COLLECT])
def test_a_node_without_a_model_says_so(context: Context, phase: Phase) -> None:
    with refused("no model of this run yet", kind=StateError):
        client_app()(digest_message(phase, node=NODE), context)
