"""A PyTorch module in a session, trained in place by a loop without any optimizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from flwr.app import ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg
from torch import nn

from flwr_digest.clients import attach, digest_mod, digest_session
from flwr_digest.clients.module_session import ModuleSession
from flwr_digest.clients.store import NodeStore
from flwr_digest.core.plan import Phase
from flwr_digest.errors import ConfigError
from flwr_digest.strategies import Digest
from tests.support.digest_messages import context_of, digest_message, plan_for_one
from tests.support.flower_app import FIRST_STREAM, Net, federation, initial_arrays, loss_of
from tests.support.flower_grid import RUN_ID, LocalGrid

NODES = [2, 3, 5, 7]
NODE = NODES[0]
STEPS = 12
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def step(module: nn.Module, session: ModuleSession, node: int) -> None:
    """Make one step of gradient descent by hand."""
    torch.autograd.backward(loss_of(module, node))
    session.correct()
    with torch.no_grad():
        for parameter in module.parameters():
            assert parameter.grad is not None
            parameter.sub_(0.1 * parameter.grad)
            parameter.grad = None
    session.stepped()


def module_app() -> ClientApp:
    app = ClientApp(mods=[digest_mod])

    @app.train()
    def train(message: Message, context: Context) -> Message:
        module = Net()
        with digest_session(message, module, steps=STEPS) as session:
            while session.going_on:
                step(module, session, context.node_id)
        loss = loss_of(module, context.node_id).item()
        return session.reply({"num-examples": 64, "loss": loss})

    return app


def run_alone(
    context: Context,
    handler: Callable[[Message], object],
    **changes: Any,  # noqa: ANN401
) -> None:
    app = ClientApp(mods=[digest_mod])

    @app.train()
    def train(message: Message, context: Context) -> Message:
        handler(message)
        return Message(RecordDict(), reply_to=message)

    app(digest_message(Phase.HELLO, node=NODE, arrays=initial_arrays()), context)
    plan = plan_for_one(NODE, **changes)
    app(digest_message(Phase.TRAIN, node=NODE, plan=plan), context)


@pytest.fixture
def context(sockets: Path) -> Context:
    return context_of(NODE, {"digest-address": f"unix:{sockets}/{NODE}"})


def steps() -> int:
    record = NodeStore(RUN_ID, NODE).load()
    assert record is not None
    return record.states[FIRST_STREAM].account.steps


@pytest.mark.parametrize("drift_correction", [False, True])
def test_four_nodes_learn_together(sockets: Path, drift_correction: bool) -> None:
    grid = federation(sockets, dict.fromkeys(NODES, module_app()))
    strategy = Digest(
        topology="ring", local_steps=2, session_seconds=30.0, drift_correction=drift_correction,
        min_train_nodes=4, min_available_nodes=4, fraction_evaluate=0.0,
    )  # fmt: skip
    result = strategy.start(grid, initial_arrays(), num_rounds=2)
    metrics = result.train_metrics_clientapp[2]
    assert metrics["digest-forfeited-steps"] == metrics["digest-unshared-steps"] == 0
    assert metrics["digest-server-training-bytes"] == 0
    first, last = (result.train_metrics_clientapp[number]["loss"] for number in (1, 2))
    assert isinstance(first, float)
    assert isinstance(last, float)
    assert last < first


def test_the_same_client_serves_fedavg(digest_home: Path) -> None:
    contexts = {node: context_of(node, {}) for node in NODES}
    grid = LocalGrid(apps=dict.fromkeys(NODES, module_app()), contexts=contexts)
    strategy = FedAvg(min_train_nodes=4, min_available_nodes=4, fraction_evaluate=0.0)
    result = strategy.start(grid, initial_arrays(), num_rounds=1)
    moved = result.arrays["hidden.weight"].numpy() - initial_arrays()["hidden.weight"].numpy()
    assert abs(moved).max() > 0.001
    assert not digest_home.exists()


def test_several_steps_may_be_reported_at_once(context: Context) -> None:
    def handler(message: Message) -> None:
        module = Net()
        with digest_session(message, module, steps=10) as session:
            while session.going_on:
                with torch.no_grad():
                    module.output.bias.add_(1.0)
                session.stepped(steps=5)
        assert torch.equal(module.output.bias, bias + 2)

    bias = torch.from_numpy(initial_arrays()["output.bias"].numpy())
    run_alone(context, handler)
    assert steps() == 10


@pytest.mark.parametrize("device", DEVICES)
def test_gradients_are_seen_before_they_are_corrected(context: Context, device: str) -> None:
    def handler(message: Message) -> None:
        module = Net().to(device)
        with digest_session(message, module, steps=3) as session:
            assert session.drift_correction
            while session.going_on:
                for parameter in module.parameters():
                    parameter.grad = torch.ones_like(parameter)
                session.correct()
                with torch.no_grad():
                    for parameter in module.parameters():
                        assert parameter.grad is not None
                        parameter.sub_(parameter.grad)
                session.stepped()

    run_alone(context, handler, drift_correction=True)
    assert steps() == 3


def test_a_step_that_was_not_corrected_is_refused(context: Context) -> None:
    def handler(message: Message) -> None:
        with digest_session(message, Net(), steps=3) as session:
            session.stepped()

    def two(message: Message) -> None:
        with digest_session(message, Net(), steps=3) as session:
            session.correct()
            session.stepped(steps=2)

    for bad in (handler, two):
        with pytest.raises(ConfigError, match=r"call correct\(\) before each step"):
            run_alone(context, bad, drift_correction=True)
    assert steps() == 0


def test_another_module_than_the_initial_model_is_refused(context: Context) -> None:
    def handler(message: Message) -> None:
        digest_session(message, nn.Linear(3, 2), steps=1)

    with pytest.raises(ConfigError, match="differs from the initial model: weight") as caught:
        run_alone(context, handler)
    assert "\n" not in str(caught.value)


def test_attaching_in_a_session_is_refused(context: Context) -> None:
    def handler(message: Message) -> None:
        module = Net()
        with digest_session(message, module, steps=1):
            attach(module, torch.optim.SGD(module.parameters(), lr=0.1))

    with pytest.raises(ConfigError, match=r"attach\(\) was called twice in one train handler, or"):
        run_alone(context, handler)


def test_the_arrays_of_the_reply_are_the_modules() -> None:
    message = Message(
        RecordDict({"arrays": initial_arrays()}), dst_node_id=NODE, message_type="train"
    )
    module = Net()
    with digest_session(message, module, steps=1) as session:
        step(module, session, NODE)
    arrays = session.reply({"num-examples": 1}).content.array_records["arrays"]
    expected = ArrayRecord(module.state_dict())
    assert {n: a.data for n, a in arrays.items()} == {n: a.data for n, a in expected.items()}
