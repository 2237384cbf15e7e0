"""Regions whose nodes come, go and forget: every call of every handler is in the model once.

Each node's handler adds 1 to a number of its own in the model; a node's calls count by the weight
that it has in the round. So the model says whose work it contains, and how often.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, Context, Message
from flwr.common.serde import message_from_proto

from flwr_digest.clients.store import NodeStore
from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import Plan
from flwr_digest.strategies import Digest
from flwr_digest.strategies.epochs import gateways_in
from tests.support.flower_app import federation
from tests.support.flower_grid import RUN_ID, LocalGrid
from tests.support.numpy_app import Handler, numpy_app, reply_to

NODES = [2, 3, 5, 7, 11]
NEW = 13
CALLS = 2
GATEWAY = 5  # both regions of the first epoch visit it, as a test makes sure
BetweenRounds = Callable[[int, Digest, LocalGrid], None]


class Work:
    """Makes handlers, and knows what their calls must have come to."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.fails_at: dict[int, int] = {}  # by node: at which of its calls it raises

    def handler(self) -> Handler:
        """Return a handler that adds 1 to its node's number."""

        def train(message: Message, context: Context) -> Message:
            node = context.node_id
            if self.fails_at.get(node, 0) == self.calls.count(node) + 1:
                raise RuntimeError("a test")
            self.calls.append(node)
            (values,) = message.content.array_records["arrays"].to_numpy_ndarrays()
            values = np.array(values)
            values[node] += 1
            return reply_to(message, ArrayRecord([values]))

        return train


def start() -> ArrayRecord:
    return ArrayRecord([np.zeros(32, dtype=np.float32)])


def run(
    sockets: Path,
    between: BetweenRounds,
    *,
    rounds: int,
    work: Work | None = None,
    joins: int = 0,
    share: float = 1.0,
) -> tuple[LocalGrid, Any]:
    """Run a strategy with two regions; `between` is called after each round.

    After the round `joins` the new node is there.
    """
    work = work or Work()
    apps = {node: numpy_app(work.handler()) for node in (*NODES, NEW)}
    grid = federation(sockets, apps)
    grid.apps = {node: apps[node] for node in NODES}
    strategy = Digest(
        topology="path", regions=2, shards=2, local_steps=0, calls_per_round=CALLS,
        session_seconds=50.0, min_train_nodes=3, min_available_nodes=3, fraction_evaluate=0.0,
        fraction_train=share,
    )  # fmt: skip

    def evaluate(server_round: int, arrays: ArrayRecord) -> None:
        if server_round > 0:
            between(server_round, strategy, grid)
        if server_round == joins > 0:
            grid.apps = apps

    result = strategy.start(grid, start(), num_rounds=rounds, evaluate_fn=evaluate)
    return grid, result


def plans(grid: LocalGrid) -> list[dict[int, Plan]]:
    """Return the plans of each round, by node."""
    found: list[dict[int, Plan]] = []
    for exchange in grid.of_phase("train"):
        record = message_from_proto(exchange.message).content.config_records["digest"]
        plan = Plan.from_json(str(record["plan"]))
        if not found or next(iter(found[-1].values())).session != plan.session:
            found.append({})
        found[-1][exchange.node] = plan
    return found


def cuts(grid: LocalGrid) -> list[tuple[int, int]]:
    """Return the epoch of each round, and its number of regions."""
    ones = [next(iter(each.values())) for each in plans(grid)]
    return [(plan.epoch, len(plan.streams) // plan.shards) for plan in ones]


def forfeited(result: Any) -> int:  # noqa: ANN401
    metrics = result.train_metrics_clientapp.values()
    return sum(int(each["digest-forfeited-steps"]) for each in metrics)


def check_all_work_is_in(grid: LocalGrid, result: Any, *, lost: int | None = None) -> None:  # noqa: ANN401
    """Check the model, but for what a lost node has done in its last rounds."""
    (model,) = result.arrays.to_numpy_ndarrays()
    wanted = np.zeros_like(model)
    for each in plans(grid):
        for node, plan in each.items():
            wanted[node] += CALLS * plan.weight
    if lost is not None:
        wanted[lost] = model[lost]
    np.testing.assert_allclose(model, wanted, rtol=0, atol=1e-5)
    assert forfeited(result) == 0


def lines(caplog: pytest.LogCaptureFixture, part: str) -> list[str]:
    return [r.getMessage() for r in caplog.records if part in r.getMessage()]


def test_the_same_nodes_go_on_and_each_round_is_summed_up(
    sockets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="flwr"):
        grid, result = run(sockets, lambda *_: None, rounds=2)
    assert len(lines(caplog, "> round 1: ")) == len(lines(caplog, "> the whole run: ")) == 1
    assert all("; longest silence of a stream " in line for line in lines(caplog, "> round"))
    assert gateways_in(plans(grid)[0][2].streams) == {GATEWAY}
    assert cuts(grid) == [(0, 2), (0, 2)]
    check_all_work_is_in(grid, result)


def test_a_gateway_lost_for_good_between_two_rounds_ends_nothing(
    sockets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def between(server_round: int, strategy: Digest, grid: LocalGrid) -> None:
        if server_round == 1:
            strategy._roster.ready.pop(NodeId(GATEWAY))
            grid.dead = {GATEWAY}

    grid, result = run(sockets, between, rounds=3)
    assert cuts(grid) == [(0, 2), (1, 2), (1, 2)]
    assert lines(caplog, "epoch 1 begins") == [
        "epoch 1 begins (node 5 is missing: it is gone) with 2 regions, drawn anew: all 4 nodes "
        "begin with the same model"
    ]
    check_all_work_is_in(grid, result)


def test_a_new_node_makes_one_round_with_one_region(
    sockets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    grid, result = run(sockets, lambda *_: None, rounds=4, joins=1)
    assert cuts(grid) == [(0, 2), (1, 1), (2, 2), (2, 2)]
    assert [len(lines(caplog, f"epoch {n} begins")) for n in (1, 2, 3)] == [1, 1, 0]
    assert "(node 13 is new) with 1 region" in lines(caplog, "epoch 1 begins")[0]
    check_all_work_is_in(grid, result)


def test_a_gateway_back_without_its_state_passes_on_again_a_round_later(
    sockets: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = count(1)
    monkeypatch.setattr("flwr_digest.clients.mod.new_life", lambda: next(lives))

    def between(server_round: int, strategy: Digest, grid: LocalGrid) -> None:
        if server_round == 1:
            shutil.rmtree(NodeStore(RUN_ID, GATEWAY).folder)
            strategy._roster.ready.pop(NodeId(GATEWAY))

    grid, result = run(sockets, between, rounds=3)
    assert cuts(grid) == [(0, 2), (1, 1), (2, 2)]
    assert "(gateway 5 has lost its state)" in lines(caplog, "epoch 1 begins")[0]
    check_all_work_is_in(grid, result)


def test_a_gateway_lost_in_a_round_leaves_two_models_and_the_next_round_makes_one(
    sockets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work()
    work.fails_at = {GATEWAY: 2 * CALLS}  # in the second round, after it has linked

    def between(server_round: int, strategy: Digest, grid: LocalGrid) -> None:
        if server_round == 2:
            grid.dead = {GATEWAY}

    grid, result = run(sockets, between, rounds=4, work=work)
    assert cuts(grid) == [(0, 2), (0, 2), (1, 1), (2, 2)]
    check_all_work_is_in(grid, result, lost=GATEWAY)


def test_rounds_with_a_part_of_the_nodes_lose_nobodys_work(sockets: Path) -> None:
    grid, result = run(sockets, lambda *_: None, rounds=6, share=0.6)
    assert all(len(each) < len(NODES) for each in plans(grid))
    check_all_work_is_in(grid, result)
