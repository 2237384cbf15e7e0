"""A whole DIGEST run in one process: real ClientApps, real overlay, real models."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord
from flwr.clientapp.typing import ClientAppCallable
from flwr.common.serde import message_from_proto
from flwr.serverapp.strategy import FedAvg, Result
from torch import nn

from flwr_digest.clients import digest_mod
from flwr_digest.clients.record import NodeRecord
from flwr_digest.clients.sessions import streams_model
from flwr_digest.clients.store import NodeStore
from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import Plan
from flwr_digest.errors import ConfigError
from flwr_digest.launch.ports import free_ports
from flwr_digest.strategies import Digest
from flwr_digest.topology.starts import start_nodes
from tests.support.digest_messages import context_of
from tests.support.flower_app import (
    FIRST_STREAM,
    STEPS,
    Net,
    client_app,
    federation,
    initial_arrays,
    loss_of,
)
from tests.support.flower_grid import RUN_ID, Exchange, LocalGrid
from tests.support.numpy_app import numpy_app
from tests.support.numpy_app import start as numpy_start

NODES = [2, 3, 5, 2**63 + 7]  # Flower's ids use all of 64 bits
NUMPY_NODES = [2, 3, 5, 7]  # each pulls the model to its own number
MODEL_BYTES = sum(len(array.data) for array in initial_arrays().values())
PARAMETERS = sum(parameter.numel() for parameter in Net().parameters())


def digest(**changes: Any) -> Digest:  # noqa: ANN401
    options: dict[str, Any] = {
        "topology": "ring",
        "local_steps": 3,
        "session_seconds": 30.0,
        "min_train_nodes": 3,
        "min_available_nodes": 3,
        "min_evaluate_nodes": 3,
    }
    return Digest(**{**options, **changes})


def same(one: ArrayRecord, other: ArrayRecord) -> bool:
    return list(one) == list(other) and all(
        np.array_equal(one[name].numpy(), other[name].numpy()) for name in one
    )


def memory(node: int) -> NodeRecord:
    record = NodeStore(RUN_ID, node).load()
    assert record is not None
    return record


def trained_steps(grid: LocalGrid) -> dict[int, int]:
    """Return how many local steps each node's accounts hold, by its own memory."""
    steps = {}
    for node in grid.apps:
        (steps[node],) = {state.account.steps for state in memory(node).states.values()}
    return steps


def plan_in(exchange: Exchange) -> Plan:
    content = message_from_proto(exchange.message).content
    return Plan.from_json(str(content.config_records["digest"]["plan"]))


def with_arrays(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Be a mod that adds a model to whatever the app and DIGEST's mod say."""
    reply = call_next(message, context)
    reply.content["spare"] = initial_arrays()
    return reply


def without_stream() -> int:
    """Return a node that the stream does not start at."""
    (start,) = start_nodes([frozenset(NODES)], seed=0)
    return next(node for node in NODES if node != start)


def loss(arrays: ArrayRecord) -> float:
    model = Net()
    model.load_state_dict(arrays.to_torch_state_dict())
    with torch.no_grad():
        return float(np.mean([loss_of(model, node).item() for node in NODES]))


def test_one_round_moves_models_between_nodes_and_none_through_the_grid(sockets: Path) -> None:
    grid = federation(sockets, {node: client_app() for node in NODES})
    result = digest().start(grid, initial_arrays(), num_rounds=1)
    assert len(grid.of_phase("train")) == len(NODES)
    assert sum(exchange.array_bytes for exchange in grid.of_phase("train", "evaluate")) == 0
    assert sum(exchange.array_bytes for exchange in grid.of_phase("hello")) == 4 * MODEL_BYTES
    assert sum(exchange.array_bytes for exchange in grid.of_phase("collect")) == MODEL_BYTES
    metrics = result.train_metrics_clientapp[1]
    assert metrics["digest-server-training-bytes"] == 0
    assert metrics["digest-server-handout-bytes"] == 4 * MODEL_BYTES
    assert metrics["digest-server-on-request-bytes"] == MODEL_BYTES
    assert metrics["digest-forfeited-steps"] == 0
    assert metrics["digest-broken-links"] == 0
    hops, payload = metrics["digest-hops"], metrics["digest-payload-bytes"]
    assert isinstance(hops, int)
    assert isinstance(payload, int)
    assert hops >= len(NODES)
    assert payload > hops * 200  # each hop carries a model


def test_the_result_is_the_streams_model_and_every_nodes(sockets: Path) -> None:
    grid = federation(sockets, {node: client_app() for node in NODES})
    result = digest().start(grid, initial_arrays(), num_rounds=1)
    model = Net()
    model.load_state_dict(result.arrays.to_torch_state_dict())
    assert loss(result.arrays) < loss(initial_arrays())
    flat = torch.cat([v.flatten() for v in model.state_dict().values() if v.is_floating_point()])
    for node in NODES:
        record = memory(node)
        assert np.array_equal(streams_model(record), flat.numpy())
        # The last tour has brought it. (What a node had taken may be off by a rounding.)
        np.testing.assert_allclose(record.model, flat.numpy(), rtol=0, atol=1e-6)
    assert trained_steps(grid) == dict.fromkeys(NODES, STEPS)


CUTS = [(1, 1), (3, 1), (1, 2), (2, 2)]


@pytest.mark.parametrize("drift_correction", [False, True])
@pytest.mark.parametrize(("shards", "regions"), CUTS)
def test_the_streams_model_holds_each_nodes_work_with_its_weight(
    sockets: Path, shards: int, regions: int, drift_correction: bool
) -> None:
    work = {node: torch.zeros(PARAMETERS) for node in NODES}

    def parameters(model: nn.Module) -> torch.Tensor:
        return torch.cat([value.detach().flatten() for value in model.parameters()])

    def watch(node: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        before: list[torch.Tensor] = []
        optimizer.register_step_pre_hook(lambda *_: before.append(parameters(model)))

        def after(*_: object) -> None:  # made before attach(), so called before anything moves on
            work[node] += parameters(model) - before.pop()

        optimizer.register_step_post_hook(after)

    grid = federation(sockets, {node: client_app(before_attach=watch) for node in NODES})
    start = Net()
    start.load_state_dict(initial_arrays().to_torch_state_dict())
    strategy = digest(shards=shards, regions=regions, drift_correction=drift_correction)
    result = strategy.start(grid, initial_arrays(), num_rounds=2)
    end = Net()
    end.load_state_dict(result.arrays.to_torch_state_dict())
    moved = parameters(end) - parameters(start)
    assert all(done.abs().max() > 0.01 for done in work.values())
    mean = torch.stack(list(work.values())).mean(dim=0)
    torch.testing.assert_close(moved, mean, rtol=0, atol=1e-5)
    metrics = result.train_metrics_clientapp[2]
    assert metrics["digest-forfeited-steps"] == metrics["digest-unshared-steps"] == 0
    assert metrics["digest-corrections-off"] == 0


def test_three_rounds_with_evaluation_at_the_server(sockets: Path) -> None:
    grid = federation(sockets, {node: client_app() for node in NODES})
    seen: dict[int, ArrayRecord] = {}

    def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord:
        seen[server_round] = arrays
        return MetricRecord({"loss": loss(arrays)})

    start = initial_arrays()
    result = digest().start(grid, start, num_rounds=3, evaluate_fn=evaluate)
    assert list(seen) == [0, 1, 2, 3]
    assert same(seen[0], start)
    assert not any(same(seen[later], seen[later - 1]) for later in (1, 2, 3))
    assert same(seen[3], result.arrays)
    losses = [result.evaluate_metrics_serverapp[number]["loss"] for number in range(4)]
    assert losses == sorted(losses, reverse=True)
    assert len(grid.of_phase("hello")) == len(NODES)  # later ones come with the train replies
    assert sum(exchange.array_bytes for exchange in grid.of_phase("train", "evaluate")) == 0
    assert sum(e.array_bytes for e in grid.of_phase("collect")) == 3 * MODEL_BYTES
    assert list(result.train_metrics_clientapp) == [1, 2, 3]
    for number in (1, 2, 3):
        assert isinstance(result.train_metrics_clientapp[number]["loss"], float)
        assert isinstance(result.evaluate_metrics_clientapp[number]["loss"], float)
    assert trained_steps(grid) == dict.fromkeys(NODES, 3 * STEPS)


def test_without_evaluation_at_the_server_the_model_is_fetched_once(sockets: Path) -> None:
    grid = federation(sockets, {node: client_app() for node in NODES[:3]})
    digest().start(grid, initial_arrays(), num_rounds=2)
    assert len(grid.of_phase("collect")) == 1


def test_plaintext_over_tcp_when_the_user_says_so() -> None:
    contexts = {
        node: context_of(node, {"digest-address": f"127.0.0.1:{port}"})
        for node, port in zip(NODES, free_ports(len(NODES)), strict=True)
    }
    grid = LocalGrid(apps={node: client_app() for node in NODES}, contexts=contexts)
    result = digest(insecure=True).start(grid, initial_arrays(), num_rounds=2)
    assert trained_steps(grid) == dict.fromkeys(NODES, 2 * STEPS)
    assert loss(result.arrays) < loss(initial_arrays())


def test_a_single_node_learns_alone(sockets: Path) -> None:
    grid = federation(sockets, {4: client_app()})
    alone = digest(min_train_nodes=1, min_available_nodes=1, min_evaluate_nodes=1)
    result = alone.start(grid, initial_arrays(), num_rounds=2)
    assert trained_steps(grid) == {4: 2 * STEPS}
    assert loss(result.arrays) < loss(initial_arrays())


def test_a_node_without_the_mod_is_named_with_the_remedy(
    sockets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    apps = {node: client_app() for node in NODES[:3]} | {NODES[3]: client_app(mods=[])}
    grid = federation(sockets, apps)
    digest().start(grid, initial_arrays(), num_rounds=1)
    (line,) = {r.getMessage() for r in caplog.records if "cannot take part" in r.getMessage()}
    assert str(NODES[3]) in line
    assert "mods=[digest_mod]" in line
    assert sorted(e.node for e in grid.of_phase("train")) == NODES[:3]


def test_a_handler_that_raises_costs_only_its_own_node(
    sockets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = without_stream()
    failed: list[int] = []

    def at_step(node: int, step: int) -> None:
        if failed or step != 1:
            return
        if node == bad:
            raise ValueError("no data today")
        grid.await_end_of_training(bad)
        failed.append(bad)

    grid = federation(sockets, {node: client_app(at_step=at_step) for node in NODES})
    result = digest().start(grid, initial_arrays(), num_rounds=2)
    lines = [r.getMessage() for r in caplog.records if " failed: " in r.getMessage()]
    assert lines == [f"\t> node {bad} failed: ValueError: no data today"]
    assert "cannot take part" not in caplog.text
    assert list(result.train_metrics_clientapp) == [1, 2]
    assert sorted(e.node for e in grid.of_phase("hello")) == sorted([*NODES, bad])
    steps = trained_steps(grid)
    assert steps.pop(bad) == 1 + STEPS  # what it had done before it failed is kept
    assert set(steps.values()) == {2 * STEPS}
    assert sum(exchange.array_bytes for exchange in grid.of_phase("train", "evaluate")) == 0


def test_too_few_nodes_end_the_run_with_one_line_of_reasons(sockets: Path) -> None:
    grid = federation(sockets, {node: client_app(mods=[]) for node in NODES[:2]})
    grid.apps = {**grid.apps, 5: client_app(), 6: client_app(), 7: client_app()}
    grid.contexts = {**grid.contexts, 5: context_of(5, {}), 6: context_of(6, {})}
    grid.dead, grid.silent = {6}, {7}
    with pytest.raises(ConfigError) as caught:
        digest().start(grid, initial_arrays(), num_rounds=1)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("only 0 nodes can take part, and min_train_nodes=3; ")
    assert f"node {NODES[0]}: its ClientApp does not know DIGEST" in line
    assert "node 5: this node has no address: start its SuperNode with --node-config" in line
    assert "node 6: it is gone" in line
    assert "node 7: no reply within the round's timeout" in line


def test_one_call_of_unchanged_handlers_ends_with_the_mean_as_fedavg_does(sockets: Path) -> None:
    apps = {node: numpy_app() for node in NUMPY_NODES}
    grid = federation(sockets, apps)
    result = digest(min_train_nodes=4).start(grid, numpy_start(), num_rounds=2)
    plain = LocalGrid(
        apps={node: numpy_app(mods=[]) for node in NUMPY_NODES},
        contexts={node: context_of(node, {}) for node in NUMPY_NODES},
    )
    expected = FedAvg().start(plain, numpy_start(), num_rounds=2)
    for mine, theirs in zip(
        result.arrays.to_numpy_ndarrays()[:2], expected.arrays.to_numpy_ndarrays()[:2], strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)
    assert sum(exchange.array_bytes for exchange in grid.of_phase("train", "evaluate")) == 0
    assert {memory(node).model.tobytes() for node in NUMPY_NODES} == {
        memory(NUMPY_NODES[0]).model.tobytes()
    }
    assert set(trained_steps(grid).values()) == {2}


@pytest.mark.parametrize("shards", [1, 3])
def test_streams_visit_between_the_calls_of_unchanged_handlers(sockets: Path, shards: int) -> None:
    grid = federation(sockets, {node: numpy_app() for node in NUMPY_NODES})
    strategy = digest(
        min_train_nodes=4, calls_per_round=30, steps_per_call=2, local_steps=2, shards=shards
    )
    result = strategy.start(grid, numpy_start(), num_rounds=1)
    metrics = result.train_metrics_clientapp[1]
    assert set(trained_steps(grid).values()) == {60}
    assert metrics["digest-forfeited-steps"] == 0
    assert metrics["calls"] == 30
    # Each alone would end at its own number; how near to their mean depends on who was how fast.
    end = result.arrays.to_numpy_ndarrays()[0]
    assert min(NUMPY_NODES) < end.min() <= end.max() < max(NUMPY_NODES)
    for node in NUMPY_NODES:  # the last tour unites them
        np.testing.assert_allclose(memory(node).model[:6].reshape(2, 3), end, rtol=1e-5)


def test_nodes_that_attach_and_nodes_that_do_not_train_together(sockets: Path) -> None:
    apps = {node: client_app(attached=node != NODES[0]) for node in NODES}
    grid = federation(sockets, apps)
    digest(calls_per_round=2).start(grid, initial_arrays(), num_rounds=1)
    steps = trained_steps(grid)
    assert steps == {node: 2 if node == NODES[0] else STEPS for node in NODES}


def test_drift_correction_without_attach_is_one_line_for_the_server(
    sockets: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flwr_digest.clients.participation.JOIN_SECONDS", 1.0)
    bad = without_stream()
    apps = {node: client_app(attached=node != bad) for node in NODES}
    grid = federation(sockets, apps)
    result = digest(drift_correction=True).start(grid, initial_arrays(), num_rounds=1)
    (line,) = {r.getMessage() for r in caplog.records if "it needs attach" in r.getMessage()}
    assert line.startswith(f"\t> node {bad} failed: drift correction acts at every local step")
    assert list(result.train_metrics_clientapp) == [1]


def test_the_count_is_honest_about_arrays_that_come_all_the_same(sockets: Path) -> None:
    app = client_app(mods=[with_arrays, digest_mod])
    grid = federation(sockets, dict.fromkeys(NODES[:3], app))
    strategy = digest()
    strategy.start(grid, initial_arrays(), num_rounds=1)
    sent = sum(exchange.array_bytes for exchange in grid.of_phase("train", "evaluate"))
    assert sent == 2 * 3 * MODEL_BYTES
    assert strategy.traffic.training_bytes == sent


def test_the_same_app_serves_fedavg_untouched(sockets: Path, digest_home: Path) -> None:
    def run(grid: LocalGrid) -> Result:
        strategy = FedAvg(min_train_nodes=4, min_available_nodes=4, min_evaluate_nodes=4)
        return strategy.start(grid, initial_arrays(), num_rounds=2)

    with_digest = run(federation(sockets, {node: client_app() for node in NODES}))
    bare = {node: client_app(mods=[], attached=False) for node in NODES}
    without = run(federation(sockets, bare))
    for name, array in without.arrays.items():
        np.testing.assert_allclose(with_digest.arrays[name].numpy(), array.numpy(), atol=1e-6)
    assert not digest_home.exists()


def test_the_summary_says_how_streams_travel(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="flwr"):
        digest(topology="complete", local_steps=7, insecure=True).summary()
        digest(shards=3, regions=2, drift_correction=True, walk="random").summary()
    assert "complete" in caplog.text
    assert "7 local steps, walk: tour" in caplog.text
    assert "PLAINTEXT" in caplog.text
    assert "3 shards x 2 regions" in caplog.text
    assert "walk: random" in caplog.text
    assert [caplog.text.count(f"Drift correction: {word}") for word in ("off", "on")] == [1, 1]


def test_a_session_of_other_nodes_goes_on_from_the_newest_copy(
    sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = federation(sockets, {node: client_app() for node in NODES})
    samples = iter([NODES[:2], NODES[2:], NODES[:2]])

    def sample(*_: object) -> tuple[list[int], list[int]]:  # it is random in Flower
        return next(samples), NODES

    monkeypatch.setattr("flwr_digest.strategies.digest.sample_nodes", sample)
    strategy = digest(fraction_train=0.5, min_train_nodes=2, fraction_evaluate=0.0)
    strategy.start(grid, initial_arrays(), num_rounds=3)

    asked = [exchange.node for exchange in grid.of_phase("train")]
    assert set(NODES[2:]) < set(asked[2:5])  # a keeper of the newest copy comes along
    assert set(NODES[:2]) <= set(asked[5:])
    assert len(asked[5:]) <= 3  # two if one of them has kept the newest copy
    states = [memory(node).states[FIRST_STREAM] for node in NODES]
    newest = max((state.kept for state in states), key=lambda kept: kept.order)
    for node, steps in trained_steps(grid).items():
        assert newest.last_visit(NodeId(node)).steps == steps > 0


# --- shards and regions -------------------------------------------------------------------------


def test_more_shards_than_values_are_refused_before_anyone_is_asked(sockets: Path) -> None:
    grid = federation(sockets, {node: client_app() for node in NODES})
    with pytest.raises(ConfigError, match="shards is 91: 1 to 90 are possible"):
        digest(shards=91).start(grid, initial_arrays(), num_rounds=1)
    assert grid.exchanges == []


def test_more_regions_than_there_can_be_are_refused_before_anyone_trains(sockets: Path) -> None:
    grid = federation(sockets, {node: client_app() for node in NODES})
    with pytest.raises(ConfigError, match="regions=4: it must be 1 to 3"):
        digest(regions=4).start(grid, initial_arrays(), num_rounds=1)
    assert grid.of_phase("train") == []


def test_a_node_that_lost_its_memory_is_told_so_once(
    sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = count(1)
    monkeypatch.setattr("flwr_digest.clients.mod.new_life", lambda: next(lives))
    grid = federation(sockets, {node: client_app() for node in NODES})
    strategy = digest(regions=2)
    own: list[int] = []

    def no_gateway() -> int:  # for a gateway a new epoch begins, and nothing needs to be told
        last = strategy._roster.last
        assert last is not None
        return min(last.members - set(last.gateways))

    def evaluate(server_round: int, arrays: ArrayRecord) -> None:
        if server_round > 0:
            own.append(memory(no_gateway()).life)
        if server_round == 1:
            shutil.rmtree(NodeStore(RUN_ID, no_gateway()).folder)
            strategy._roster.ready.pop(NodeId(no_gateway()))

    strategy.start(grid, initial_arrays(), num_rounds=3, evaluate_fn=evaluate)
    lost = no_gateway()
    told = [plan_in(exchange).life for exchange in grid.of_phase("train") if exchange.node == lost]
    before, after, later = own
    assert before != after == later
    assert told == [before, before, after]
