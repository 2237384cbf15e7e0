"""Nodes that are late, or die in hello, in training or in evaluation: each is named, none hangs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Context, Message

from flwr_digest.strategies import Digest
from flwr_digest.topology.starts import start_nodes
from tests.support.flower_app import federation
from tests.support.numpy_app import fedavg_handler, numpy_app, start

NODES = [2, 3, 5, 7]
(START,) = start_nodes([frozenset(NODES)], seed=0)
LOST = next(node for node in NODES if node != START)  # no stream is lost with it
ROOT = Path(__file__).parents[3]


def digest(**changes: Any) -> Digest:  # noqa: ANN401
    options: dict[str, Any] = {
        "topology": "complete", "local_steps": 1, "session_seconds": 30.0,
        "min_train_nodes": 3, "min_available_nodes": 3, "min_evaluate_nodes": 3,
    }  # fmt: skip
    return Digest(**{**options, **changes})


def lines(caplog: pytest.LogCaptureFixture, part: str) -> list[str]:
    return [r.getMessage() for r in caplog.records if part in r.getMessage()]


def test_too_few_nodes_are_counted_aloud_until_there_are_enough(
    sockets: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    everyone = {node: numpy_app() for node in NODES}
    grid = federation(sockets, everyone)
    grid.apps = {node: everyone[node] for node in NODES[:2]}

    def wait(seconds: float) -> None:
        grid.apps = {node: everyone[node] for node in NODES[: len(grid.apps) + 1]}

    monkeypatch.setattr("flwr.serverapp.strategy.strategy_utils.sleep", wait)
    with caplog.at_level("INFO", logger="flwr"):
        digest(min_train_nodes=4).start(grid, start(), num_rounds=1)
    assert lines(caplog, "Waiting for nodes") == [
        "Waiting for nodes to connect: 2 connected (minimum required: 4).",
        "Waiting for nodes to connect: 3 connected (minimum required: 4).",
    ]
    assert sorted(exchange.node for exchange in grid.of_phase("train")) == NODES


def test_a_node_that_dies_in_hello_is_named_and_the_others_train(
    sockets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    grid = federation(sockets, {node: numpy_app() for node in NODES})
    grid.dead = {LOST}
    result = digest().start(grid, start(), num_rounds=1)
    assert lines(caplog, f"node {LOST}") == [f"node {LOST} cannot take part: it is gone"]
    assert result.train_metrics_clientapp[1]["calls"] == 1
    assert sorted(exchange.node for exchange in grid.of_phase("train")) == sorted({*NODES} - {LOST})


def test_a_node_that_dies_in_training_is_named_and_comes_back(
    sockets: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flwr_digest.clients.participation.JOIN_SECONDS", 1.0)
    grid = federation(sockets, {node: numpy_app() for node in NODES})

    def evaluate(server_round: int, arrays: object) -> None:
        # After its hello, and again after the session that it has missed.
        grid.dead = {LOST} if server_round == 1 else set()

    result = digest(fraction_evaluate=0.0).start(grid, start(), num_rounds=3, evaluate_fn=evaluate)
    assert f"\t> node {LOST} failed: it is gone" in lines(caplog, f"node {LOST}")
    assert any(f"node {LOST} was never linked" in line for line in lines(caplog, "never linked"))
    assert list(result.train_metrics_clientapp) == [1, 2, 3]
    hellos = [exchange.node for exchange in grid.of_phase("hello")]
    assert hellos.count(LOST) == 2
    assert [exchange.node for exchange in grid.of_phase("train")].count(LOST) == 3
    assert result.train_metrics_clientapp[3]["digest-broken-links"] == 0


def test_a_node_that_dies_in_evaluation_is_named_by_its_own_id(
    sockets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    grid = federation(sockets, {})

    def handler(message: Message, context: Context) -> Message:
        if context.node_id == LOST:
            grid.dead = {LOST}  # from its next message on
        return fedavg_handler(message, context)

    everyone = federation(sockets, {node: numpy_app(handler) for node in NODES})
    grid.apps, grid.contexts, grid._trained = everyone.apps, everyone.contexts, everyone._trained
    result = digest().start(grid, start(), num_rounds=1)
    assert lines(caplog, " failed: ") == [f"\t> node {LOST} failed: it is gone"]
    assert isinstance(result.evaluate_metrics_clientapp[1]["mean"], float)


def test_evaluation_that_fails_at_all_nodes_is_no_end(
    sockets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(message: Message, context: Context) -> Message:
        grid.dead = set(NODES)
        return fedavg_handler(message, context)

    grid = federation(sockets, {node: numpy_app(handler) for node in NODES[:1]})
    alone = digest(min_train_nodes=1, min_available_nodes=1, min_evaluate_nodes=1)
    result = alone.start(grid, start(), num_rounds=1)
    assert lines(caplog, " failed: ") == [f"\t> node {NODES[0]} failed: it is gone"]
    assert not result.evaluate_metrics_clientapp


def test_the_broker_needs_no_torch(tmp_path: Path) -> None:
    """In a process of its own in which torch cannot be imported."""
    code = f"""
import sys
sys.modules["torch"] = None
from flwr_digest.clients import ArraySession, DigestMod, digest_session
from flwr_digest.strategies import Digest
from tests.support.digest_messages import context_of
from tests.support.flower_grid import LocalGrid, server_identity
from tests.support.numpy_app import numpy_app, start
contexts = {{n: context_of(n, {{"digest-address": f"unix:{tmp_path}/{{n}}"}}) for n in (2, 3)}}
grid = LocalGrid(apps=dict.fromkeys(contexts, numpy_app()), contexts=contexts)
with server_identity():
    result = Digest(topology="ring", weighting="uniform").start(grid, start(), num_rounds=1)
print(result.evaluate_metrics_clientapp[1]["mean"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PATH": "", "FLWR_DIGEST_HOME": str(tmp_path / "home"), "FLWR_TELEMETRY_ENABLED": "0"},
    )
    assert done.stdout == "1.75\n", done.stderr
