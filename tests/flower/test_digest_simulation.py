"""The quickstart in Flower's simulation engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from flwr_digest.errors import DigestError
from flwr_digest.launch import SuperLink, run_app, simulation_of

DIGEST_APP = Path(__file__).parents[2] / "examples" / "quickstart-digits"
MOST_SECONDS = 900.0  # past that something hangs: it takes a minute at most
NODES = 8

pytestmark = [pytest.mark.flower, pytest.mark.slow]


@pytest.fixture(scope="module")
def superlink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SuperLink]:
    superlink = SuperLink(simulation=True, log_dir=tmp_path_factory.mktemp("logs"))
    with superlink:
        yield superlink
    assert superlink.leftover_processes() == []


def test_eight_nodes_learn_without_a_server(superlink: SuperLink, tmp_path: Path) -> None:
    results = tmp_path / "results.json"

    run_app(
        superlink,
        DIGEST_APP,
        name="digest",
        run_config={
            "num-server-rounds": 1,
            "local-epochs": 40,
            "min-nodes": NODES,
            "partition": "iid",
            "drift-correction": False,
            "results": str(results),
        },
        federation_config=simulation_of(NODES),
        timeout_seconds=MOST_SECONDS,
    )

    report = json.loads(results.read_text())
    assert report["accuracy_worst"] == report["accuracy_mean"] > 0.88  # the last tour unites them
    assert report["model_bytes_through_server_in_training"] == 0
    assert report["bytes_between_nodes"] > 0
    assert report["digest-forfeited-steps"] == 0


def test_an_engine_that_cannot_run_all_nodes_at_once_says_so(superlink: SuperLink) -> None:
    too_small = simulation_of(3) | {"init-args-num-cpus": 2}

    with pytest.raises(DigestError) as caught:
        run_app(
            superlink,
            DIGEST_APP,
            name="too-small",
            run_config={"min-nodes": 3},
            federation_config=too_small,
            timeout_seconds=MOST_SECONDS,
        )

    assert "the simulation engine runs 2 of 3 nodes at once" in str(caught.value)
    assert "init-args-num-cpus=3" in str(caught.value)
