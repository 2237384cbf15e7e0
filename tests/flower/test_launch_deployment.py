from __future__ import annotations

import json
from pathlib import Path

import pytest

from flwr_digest.launch import SuperLink, SuperNodes, run_app

FEDAVG_APP = Path(__file__).parents[2] / "examples" / "quickstart-digits-fedavg"
MOST_SECONDS = 900.0  # past that something hangs: it takes a minute at most


@pytest.mark.flower
@pytest.mark.exhaustive  # other tests start SuperNodes; this one kills one, too
def test_an_app_runs_on_supernodes(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    superlink = SuperLink(simulation=False, log_dir=tmp_path)

    with superlink, SuperNodes(superlink, count=2) as nodes:
        run_app(
            superlink,
            FEDAVG_APP,
            name="fedavg",
            run_config={"num-server-rounds": 1, "partition": "iid", "results": str(results)},
            timeout_seconds=MOST_SECONDS,
        )
        assert nodes.digest_address(0) != nodes.digest_address(1)
        nodes.kill(0)
        commands = [each.command for each in superlink.leftover_processes()]
        assert sum("flower-supernode" in command for command in commands) == 1
        nodes.start(0)
        commands = [each.command for each in superlink.leftover_processes()]
        assert sum("flower-supernode" in command for command in commands) == 2

    assert json.loads(results.read_text())["accuracy_mean"] > 0.8
    assert superlink.leftover_processes() == []
