"""Weighted runs end where weighted FedAvg does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg

from flwr_digest.clients import DigestMod
from flwr_digest.errors import ConfigError
from flwr_digest.strategies import Digest
from tests.support.digest_messages import context_of
from tests.support.flower_app import federation
from tests.support.flower_grid import LocalGrid
from tests.support.numpy_app import numpy_app, reply_to, start, trained

NODES = [2, 3, 5, 7]
EXAMPLES = {2: 10, 3: 30, 5: 40, 7: 120}

Count = Callable[[Context], Any]


def app(count: Count | None, counts: Mapping[int, int] = EXAMPLES) -> ClientApp:
    """Return an app that reports its examples as FedAvg wants them, and before training."""

    def handler(message: Message, context: Context) -> Message:
        arrays = ArrayRecord(trained(message, context.node_id))
        return reply_to(message, arrays, **{"num-examples": counts[context.node_id]})

    return numpy_app(handler, mods=[DigestMod(examples=count)])


def by_table(context: Context) -> int:
    return EXAMPLES[context.node_id]


def digest(**changes: Any) -> Digest:  # noqa: ANN401
    options: dict[str, Any] = {
        "weighting": "examples", "topology": "ring", "local_steps": 1, "session_seconds": 30.0,
        "fraction_evaluate": 0.0, "min_train_nodes": 4, "min_available_nodes": 4,
    }  # fmt: skip
    return Digest(**{**options, **changes})


def test_a_weighted_run_has_the_minimizer_of_weighted_fedavg(sockets: Path) -> None:
    grid = federation(sockets, {node: app(by_table) for node in NODES})
    seen: list[float] = []
    expected: list[float] = []

    def note(values: list[float]) -> Callable[[int, ArrayRecord], None]:
        return lambda number, arrays: values.append(float(arrays.to_numpy_ndarrays()[0].mean()))

    digest(shards=2).start(grid, start(), num_rounds=8, evaluate_fn=note(seen))
    plain = LocalGrid(
        apps={node: app(None) for node in NODES},
        contexts={node: context_of(node, {}) for node in NODES},
    )
    fedavg = FedAvg(fraction_evaluate=0.0, min_train_nodes=4, min_available_nodes=4)
    fedavg.start(plain, start(), num_rounds=8, evaluate_fn=note(expected))
    assert len(seen) == 9
    np.testing.assert_allclose(seen, expected, rtol=1e-5)  # round by round
    minimizer = sum(EXAMPLES[node] * node for node in NODES) / sum(EXAMPLES.values())
    assert seen[-1] == pytest.approx(minimizer, abs=0.03)
    assert abs(minimizer - np.mean(NODES)) > 1  # uniform weights would end elsewhere


def test_weights_may_change_from_session_to_session_and_each_step_keeps_its_own(
    sockets: Path,
) -> None:
    sessions = [EXAMPLES, dict.fromkeys(NODES, 1), {2: 100, 3: 1, 5: 1, 7: 1}]
    asked: dict[int, int] = dict.fromkeys(NODES, 0)

    def count(context: Context) -> int:
        """Say how many there are, once with the first hello, then once with each report."""
        asked[context.node_id] += 1
        return sessions[min(asked[context.node_id], len(sessions)) - 1][context.node_id]

    grid = federation(sockets, {node: app(count) for node in NODES})
    seen: list[float] = []
    digest(shards=2).start(
        grid,
        start(),
        num_rounds=3,
        evaluate_fn=lambda number, arrays: seen.append(float(arrays.to_numpy_ndarrays()[1].mean())),
    )
    value, expected = 0.0, [0.0]
    for counts in sessions:
        shares = {node: counts[node] / sum(counts.values()) for node in NODES}
        value += sum(shares[node] * 0.5 * (node - value) for node in NODES)
        expected.append(value)
    np.testing.assert_allclose(seen, expected, rtol=1e-5)


def test_uniform_runs_count_nothing(sockets: Path, caplog: pytest.LogCaptureFixture) -> None:
    def never(context: Context) -> int:
        raise AssertionError("asked")

    grid = federation(sockets, {node: app(never) for node in NODES})
    result = digest(weighting="uniform").start(grid, start(), num_rounds=1)
    assert not [r for r in caplog.records if r.levelname == "ERROR"]  # nor is anyone missed
    expected = 1 + 0.5 * (np.mean(NODES) - 1)
    assert result.arrays.to_numpy_ndarrays()[0].mean() == pytest.approx(expected, rel=1e-5)


def test_a_node_that_cannot_be_weighted_is_named_and_the_others_go_on(
    sockets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def nothing(context: Context) -> int:
        return 0

    counts: dict[int, Count | None] = {**dict.fromkeys(NODES, by_table), 2: None, 3: nothing}
    grid = federation(sockets, {node: app(counts[node]) for node in NODES})
    digest(min_train_nodes=2).start(grid, start(), num_rounds=1)
    lines = [r.getMessage() for r in caplog.records if "cannot take part" in r.getMessage()]
    assert [line.partition(":")[0] for line in lines] == [
        "node 2 cannot take part",
        "node 3 cannot take part",
    ]
    assert "has not said how many it has" in lines[0]
    assert "it has 0 training examples" in lines[1]
    assert sorted(exchange.node for exchange in grid.of_phase("train")) == [5, 7]


def test_too_few_that_can_be_weighted_end_the_run_in_one_line(sockets: Path) -> None:
    counts: dict[int, Count | None] = {
        2: None, 3: lambda context: -1, 5: lambda context: 2.5, 7: lambda context: 1 / 0
    }  # fmt: skip
    grid = federation(sockets, {node: app(counts[node]) for node in NODES})
    with pytest.raises(ConfigError) as caught:
        digest().start(grid, start(), num_rounds=1)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("only 0 nodes can take part, and min_train_nodes=4; ")
    assert "DigestMod(examples=...) returned 2.5: it must return how many" in line
    assert "node 7: ZeroDivisionError" in line
    assert "node 2: weighting=" in line
    assert "it has -1 training examples" in line
