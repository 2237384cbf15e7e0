"""The quickstart on SuperNodes: real processes, TLS and keys in Flower, mutual TLS between nodes."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from flwr_digest.launch import SuperLink, SuperNodes, run_app
from flwr_digest.launch.ports import LOOPBACK

DIGEST_APP = Path(__file__).parents[2] / "examples" / "quickstart-digits"
MOST_SECONDS = 900.0  # past that something hangs: it takes a minute at most
NODES = 4
MODEL_BYTES = 4 * (64 * 32 + 32 + 32 * 10 + 10)


@pytest.mark.flower
@pytest.mark.slow
def test_four_supernodes_with_tls_and_keys_learn_without_a_server(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    superlink = SuperLink(simulation=False, log_dir=tmp_path, secure=True)

    with superlink, SuperNodes(superlink, count=NODES) as nodes:
        home = superlink.workspace.home
        addresses = [superlink.address, *map(nodes.digest_address, range(NODES))]
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
            timeout_seconds=MOST_SECONDS,
        )

    assert superlink.leftover_processes() == []
    assert not home.exists()
    assert [each for each in addresses if listens(each)] == []
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


def listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    assert host == LOOPBACK
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0
