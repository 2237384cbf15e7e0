"""Far more nodes than processors in Flower's simulation engine, all at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flwr_digest.launch import SuperLink, run_app, simulation_of

DIGEST_APP = Path(__file__).parents[2] / "examples" / "quickstart-digits"
NODES = 32
MOST_SECONDS = 3600.0  # past that something hangs: it takes four minutes on two cores


@pytest.mark.flower
@pytest.mark.exhaustive
def test_32_nodes_learn_digits_at_once(tmp_path: Path) -> None:
    # A node takes 0.4 GB, most of it PyTorch's code: 13 GB in all (measured).
    results = tmp_path / "results.json"
    superlink = SuperLink(simulation=True, log_dir=tmp_path)
    with superlink:
        run_app(
            superlink,
            DIGEST_APP,
            name="digest",
            run_config={
                "num-server-rounds": 1,
                "local-epochs": 60,
                "min-nodes": NODES,
                "partition": "iid",
                "results": str(results),
            },
            federation_config=simulation_of(NODES),
            timeout_seconds=MOST_SECONDS,
        )

    assert superlink.leftover_processes() == []
    report = json.loads(results.read_text())
    assert report["accuracy_worst"] > 0.8
    assert report["digest-forfeited-steps"] == report["digest-broken-links"] == 0
    assert report["model_bytes_through_server_in_training"] == 0
