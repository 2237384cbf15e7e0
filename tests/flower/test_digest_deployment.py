"""The quickstart on SuperNodes: real processes, and an overlay with mutual TLS between them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flwr_digest.launch import SuperLink, SuperNodes, run_app

DIGEST_APP = Path(__file__).parents[2] / "examples" / "quickstart-digits"
NODES = 4
MODEL_BYTES = 4 * (64 * 32 + 32 + 32 * 10 + 10)


@pytest.mark.flower
@pytest.mark.slow
def test_four_supernodes_learn_without_a_server_in_regions_with_drift_correction(
    tmp_path: Path,
) -> None:
    results = tmp_path / "results.json"
    superlink = SuperLink(simulation=False, log_dir=tmp_path)

    with superlink, SuperNodes(superlink, count=NODES):
        outcome = run_app(
            superlink,
            DIGEST_APP,
            name="digest",
            run_config={
                "num-server-rounds": 2,
                "local-epochs": 10,
                "min-nodes": NODES,
                "partition": "iid",
                "shards": 2,
                "regions": 2,
                "drift-correction": True,
                "results": str(results),
            },
            timeout_seconds=280,
        )

    assert superlink.leftover_processes() == []
    log = outcome.log_path.read_text()
    assert "mutual TLS" in log
    assert "2 shards x 2 regions" in log
    assert "Drift correction: on" in log
    assert "[ROUND 2/2]" in log
    report = json.loads(results.read_text())
    assert report["accuracy_worst"] > 0.8
    assert report["digest-forfeited-steps"] == report["digest-broken-links"] == 0
    assert report["digest-replacements"] == 0
    assert report["bytes_between_nodes"] > 2 * NODES * MODEL_BYTES  # each node got it, each round
    assert report["model_bytes_through_server_in_training"] == 0  # by the app's own count
    assert report["digest-server-training-bytes"] == 0  # by the strategy's
    assert report["handout_bytes"] >= NODES * MODEL_BYTES
    assert MODEL_BYTES <= report["on_request_bytes"] < 2 * MODEL_BYTES
