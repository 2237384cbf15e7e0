"""An unchanged handler, called again and again within a real session of one node."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, Message
from flwr.app.error import Error
from torch import nn, optim

from flwr_digest.clients import attach
from flwr_digest.clients.record import NodeRecord, to_arrays
from flwr_digest.clients.returned import returned_by
from flwr_digest.clients.store import NodeStore
from flwr_digest.core.plan import Hello, Phase
from flwr_digest.errors import ConfigError, DigestError, DivergedError
from flwr_digest.learning.calls import CallHandoff
from tests.support.digest_messages import context_of, digest_message, plan_for_one
from tests.support.flower_app import (
    FIRST_STREAM,
)
from tests.support.flower_grid import RUN_ID
from tests.support.numpy_app import (
    Handler,
    fedavg_handler,
    numpy_app,
    optimum,
    reply_to,
    start,
    trained,
)

NODE = 9
ROOT = Path(__file__).parents[3]


@pytest.fixture
def context(sockets: Path) -> Context:
    return context_of(NODE, {"digest-address": f"unix:{sockets}/{NODE}"})


def train(
    context: Context,
    handler: Handler = fedavg_handler,
    *,
    calls: int = 3,
    arrays: ArrayRecord | None = None,
    **changes: float,
) -> Message:
    """Say hello, and have a session of so many calls."""
    app = numpy_app(handler)
    app(digest_message(Phase.HELLO, node=NODE, arrays=arrays or start()), context)
    plan = replace(plan_for_one(NODE), calls=calls, **changes)  # type: ignore[arg-type]
    return app(digest_message(Phase.TRAIN, node=NODE, plan=plan), context)


def memory() -> NodeRecord:
    record = NodeStore(RUN_ID, NODE).load()
    assert record is not None
    return record


def steps() -> int:
    return memory().states[FIRST_STREAM].account.steps


def test_each_call_goes_on_from_the_last_and_the_last_reply_counts(context: Context) -> None:
    reply = train(context, calls=3)
    expected = optimum(NODE) + (1 - optimum(NODE)) / 2**3
    assert memory().model[:6].tolist() == [expected] * 6
    assert reply.content.metric_records["metrics"]["calls"] == 3
    assert reply.content.metric_records["metrics"]["num-examples"] == 10
    assert not reply.content.array_records
    assert Hello.from_json(str(reply.content.config_records["digest"]["hello"])).kept
    assert steps() == 3


def test_by_default_a_round_is_one_call_as_under_fedavg(context: Context) -> None:
    app = numpy_app()
    app(digest_message(Phase.HELLO, node=NODE, arrays=start()), context)
    app(digest_message(Phase.TRAIN, node=NODE, plan=plan_for_one(NODE)), context)
    assert steps() == 1


def test_a_call_counts_as_many_steps_as_the_plan_says(context: Context) -> None:
    train(context, calls=2, steps_per_call=5)
    assert steps() == 10


def test_the_handler_sees_what_fedavg_would_send_every_time(context: Context) -> None:
    seen: list[tuple[list[str], ConfigRecord, object]] = []

    def handler(message: Message, context: Context) -> Message:
        config = message.content.config_records["config"]
        context.state["mine"] = ConfigRecord({"calls": len(seen)})
        seen.append((sorted(message.content), ConfigRecord({**config}), message.metadata))
        reply = fedavg_handler(message, context)
        config["lr"] = 99.0  # what it does to its own message is its own affair
        message.content["left"] = ConfigRecord({"x": 1})
        del message.content["arrays"]
        return reply

    reply = train(context, handler)
    assert [names for names, _, _ in seen] == [["arrays", "config"]] * 3
    assert [config["lr"] for _, config, _ in seen] == [0.1] * 3
    assert seen[0][2] == seen[2][2]
    assert reply.metadata.dst_node_id == 1
    assert context.state.config_records["mine"]["calls"] == 2


def test_integers_stay_at_the_node_as_it_left_them(context: Context) -> None:
    train(context, calls=3)
    assert memory().rest["2"] == 3
    train(context, calls=2)
    assert memory().rest["2"] == 5


def test_doubles_travel_as_floats_and_come_back_as_doubles(context: Context) -> None:
    kinds: set[str] = set()

    def handler(message: Message, context: Context) -> Message:
        kinds.update(array.dtype for array in message.content.array_records["arrays"].values())
        return fedavg_handler(message, context)

    train(context, handler, arrays=start(np.float64))
    assert kinds == {"float64", "int64"}
    assert memory().model.dtype == np.float32
    train(context, handler)  # also from the memory
    assert kinds == {"float64", "int64"}


def test_other_arrays_in_a_later_call_are_refused_and_the_first_one_counts(
    context: Context,
) -> None:
    def handler(message: Message, context: Context) -> Message:
        arrays = trained(message, context.node_id)
        return reply_to(message, ArrayRecord(arrays if arrays[-1] == 1 else arrays[:2]))

    with pytest.raises(ConfigError, match="other arrays than it got") as caught:
        train(context, handler)
    assert "\n" not in str(caught.value)
    assert steps() == 1


def test_drift_correction_is_refused_before_the_session(context: Context) -> None:
    before = start().to_numpy_ndarrays()[0].ravel().tolist()
    with pytest.raises(ConfigError, match=r"needs attach\(model, optimizer\)"):
        train(context, drift_correction=True)
    assert memory().model[:6].tolist() == before
    assert memory().states == {} or steps() == 0


def test_a_handler_that_raises_keeps_what_it_has_trained(context: Context) -> None:
    def handler(message: Message, context: Context) -> Message:
        if message.content.array_records["arrays"]["2"].numpy() == 2:
            raise ZeroDivisionError("by the user")
        return fedavg_handler(message, context)

    with pytest.raises(ZeroDivisionError, match="by the user"):
        train(context, handler)
    assert steps() == 2


@pytest.mark.parametrize("good_calls", [0, 2])
def test_an_error_reply_ends_the_calls_and_reaches_the_server(
    context: Context, good_calls: int
) -> None:
    def handler(message: Message, context: Context) -> Message:
        if message.content.array_records["arrays"]["2"].numpy() == good_calls:
            return Message(Error(code=7, reason="no data"), reply_to=message)
        return fedavg_handler(message, context)

    reply = train(context, handler)
    assert reply.has_error()
    assert reply.error.reason == "no data"
    assert [state.account.steps for state in memory().states.values()] in ([], [good_calls])


def test_training_that_diverges_says_so(context: Context) -> None:
    def handler(message: Message, context: Context) -> Message:
        arrays = message.content.array_records["arrays"].to_numpy_ndarrays()
        return reply_to(message, ArrayRecord([arrays[0] * np.nan, *arrays[1:]]))

    before = [1.0] * 6 + [0.0] * 2
    with pytest.raises(DivergedError, match="not finite"):
        train(context, handler)
    assert memory().model.tolist() == before  # the next round can go on
    train(context)
    assert steps() == 3


def test_no_call_is_begun_that_would_end_in_the_last_tenth(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]

    def handler(message: Message, context: Context) -> Message:
        now[0] += 7.0
        return fedavg_handler(message, context)

    with patch("flwr_digest.clients.calls.time", SimpleNamespace(monotonic=lambda: now[0])):
        train(context, handler, calls=9, session_seconds=30.0)
    assert steps() == 3  # 21 s; a fourth would end after 28 s, of 27
    assert "time for 3 of 9 calls" in caplog.text


def test_attaching_only_later_is_refused(context: Context) -> None:
    def handler(message: Message, context: Context) -> Message:
        if message.content.array_records["arrays"]["2"].numpy() == 1:
            model = nn.Linear(3, 2)
            attach(model, optim.SGD(model.parameters(), lr=0.1))
        return fedavg_handler(message, context)

    with pytest.raises(ConfigError, match="did not the first time"):
        train(context, handler)


def test_a_dead_overlay_ends_the_calls(context: Context) -> None:
    dead, calls = Event(), []

    def handler(message: Message, context: Context) -> Message:
        calls.append(1)
        if len(calls) == 2:  # the session begins after the first
            assert dead.wait(20.0)
        return fedavg_handler(message, context)

    def fail(handoff: CallHandoff, error: BaseException) -> None:
        alive(handoff, error)
        dead.set()

    alive = CallHandoff.fail
    with (
        patch("flwr_digest.overlay.driver.Driver.run", side_effect=ZeroDivisionError),
        patch.object(CallHandoff, "fail", fail),
        pytest.raises(DigestError, match="the overlay failed"),
    ):
        train(context, handler, calls=10)
    assert len(calls) <= 2


def test_a_call_costs_one_set_of_arrays_each_way(context: Context) -> None:
    where = "flwr_digest.clients.calls."
    with (
        patch(where + "to_arrays", wraps=to_arrays) as given,
        patch(where + "returned_by", wraps=returned_by) as taken,
        patch.object(ArrayRecord, "__deepcopy__", side_effect=AssertionError, create=True),
    ):
        train(context, calls=4)
    assert (given.call_count, taken.call_count) == (4, 4)


def test_torch_is_not_needed(tmp_path: Path) -> None:
    """In a process of its own in which torch cannot be imported."""
    code = f"""
import sys
sys.modules["torch"] = None
from dataclasses import replace
from flwr_digest.core.plan import Phase
from flwr_digest.clients import digest_mod
from tests.support.numpy_app import numpy_app, start
from tests.support.flower_grid import server_identity, RUN_ID
from tests.support.digest_messages import context_of, digest_message, plan_for_one
app = numpy_app()
context = context_of({NODE}, {{"digest-address": "unix:{tmp_path}/s"}})
with server_identity():
    app(digest_message(Phase.HELLO, node={NODE}, arrays=start()), context)
    plan = replace(plan_for_one({NODE}), calls=2)
    reply = app(digest_message(Phase.TRAIN, node={NODE}, plan=plan), context)
print(reply.content.metric_records["metrics"]["calls"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PATH": "", "FLWR_DIGEST_HOME": str(tmp_path), "FLWR_TELEMETRY_ENABLED": "0"},
    )
    assert done.stdout == "2\n", done.stderr
