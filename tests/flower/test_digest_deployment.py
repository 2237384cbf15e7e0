"""SuperLink and SuperNodes as processes: TLS and keys in Flower, mutual TLS between the nodes."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from flwr_digest.launch import SuperLink, SuperNodes, run_app
from flwr_digest.launch.ports import LOOPBACK

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart-digits"
# It loads in a third of the time, of which each message to each node takes one (measured).
NUMPY_SESSION = Path(__file__).parent / "numpy_session"
MOST_SECONDS = 900.0  # past that something hangs: it takes a minute or two at most
NODES = 4
ROUNDS = 2

pytestmark = [pytest.mark.flower, pytest.mark.slow]


def test_four_supernodes_with_tls_and_keys_learn_without_a_server(tmp_path: Path) -> None:
    log, report = run_on_supernodes(
        tmp_path, NUMPY_SESSION, {"nodes": NODES, "rounds": ROUNDS, "shards": 2, "regions": 2}
    )

    assert "mutual TLS" in log
    assert "2 shards x 2 regions" in log
    assert "Drift correction: on" in log
    assert "[ROUND 2/2]" in log
    assert report["distance"] < 0.05
    assert report["server-distance"] < 0.05
    check_traffic(report, model_bytes=4 * 64)


@pytest.mark.exhaustive
def test_four_supernodes_learn_digits_with_torch(tmp_path: Path) -> None:
    model_bytes = 4 * (64 * 32 + 32 + 32 * 10 + 10)

    _, report = run_on_supernodes(
        tmp_path,
        QUICKSTART,
        {
            "min-nodes": NODES,
            "num-server-rounds": ROUNDS,
            "partition": "iid",
            "shards": 2,
            "regions": 2,
        },
    )

    assert report["accuracy_worst"] > 0.8
    assert report["model_bytes_through_server_in_training"] == 0  # by the app's own count
    check_traffic(report, model_bytes)


def run_on_supernodes(
    folder: Path, app: Path, run_config: dict[str, str | int]
) -> tuple[str, dict[str, float]]:
    """Run an app; return the log and what it has reported, when nothing of all that is left."""
    results = folder / "results.json"
    superlink = SuperLink(simulation=False, log_dir=folder, secure=True)
    with superlink, SuperNodes(superlink, count=NODES) as nodes:
        home = superlink.workspace.home
        addresses = [superlink.address, *map(nodes.digest_address, range(NODES))]
        outcome = run_app(
            superlink,
            app,
            name="digest",
            run_config={**run_config, "results": str(results)},
            timeout_seconds=MOST_SECONDS,
        )
    assert superlink.leftover_processes() == []
    assert not home.exists()
    assert [address for address in addresses if listens(address)] == []
    return outcome.log_path.read_text(), json.loads(results.read_text())


def check_traffic(report: dict[str, float], model_bytes: int) -> None:
    """Check that models went between the nodes, and none through the server in training."""
    assert report["digest-server-training-bytes"] == 0
    assert report["digest-server-handout-bytes"] >= NODES * model_bytes
    assert model_bytes <= report["digest-server-on-request-bytes"] < 2 * model_bytes
    assert report["digest-bytes-between-nodes"] > NODES * model_bytes
    assert report["digest-forfeited-steps"] == report["digest-broken-links"] == 0
    assert report["digest-replacements"] == 0


def listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    assert host == LOOPBACK
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0
