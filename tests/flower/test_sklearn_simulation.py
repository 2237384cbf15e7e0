"""The scikit-learn example in Flower's simulation engine: the mod alone, and no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from flwr_digest.launch import SuperLink, run_app, simulation_of

APP = Path(__file__).parents[2] / "examples" / "sklearn-logistic-regression"
MOST_SECONDS = 900.0  # past that something hangs: it takes a minute at most
NODES = 4

pytestmark = [pytest.mark.flower, pytest.mark.slow]


@pytest.fixture(scope="module")
def superlink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SuperLink]:
    superlink = SuperLink(simulation=True, log_dir=tmp_path_factory.mktemp("logs"))
    with superlink:
        yield superlink
    assert superlink.leftover_processes() == []


def test_unchanged_scikit_learn_handlers_learn_without_a_server(
    superlink: SuperLink, tmp_path: Path
) -> None:
    results = tmp_path / "results.json"
    run_app(
        superlink,
        APP,
        name="sklearn",
        run_config={"min-nodes": NODES, "results": str(results)},
        federation_config=simulation_of(NODES),
        timeout_seconds=MOST_SECONDS,
    )
    report = json.loads(results.read_text())
    assert report["accuracy"] > 0.94
    assert report["digest-server-training-bytes"] == 0
    assert report["digest-bytes-between-nodes"] > 0
    assert report["digest-forfeited-steps"] == 0
