from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from flwr_digest.errors import DigestError
from flwr_digest.launch import LaunchedProcess, SuperLink, run_app, simulation_of

FEDAVG_APP = Path(__file__).parents[2] / "examples" / "quickstart-digits-fedavg"
MOST_SECONDS = 900.0  # past that something hangs: it takes a minute at most
NODES = 3
MODEL_BYTES = 4 * (64 * 32 + 32 + 32 * 10 + 10)

pytestmark = [pytest.mark.flower, pytest.mark.slow]


@pytest.fixture(scope="module")
def superlink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SuperLink]:
    superlink = SuperLink(simulation=True, log_dir=tmp_path_factory.mktemp("logs"))
    with superlink:
        home = superlink.workspace.home
        yield superlink
    assert superlink.leftover_processes() == []
    assert not home.exists()


def test_an_app_runs_and_reports(superlink: SuperLink, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    lines: list[str] = []

    outcome = run_app(
        superlink,
        FEDAVG_APP,
        name="fedavg",
        run_config={
            "num-server-rounds": 1,
            "local-epochs": 5,
            "min-nodes": NODES,
            "partition": "iid",
            "results": str(results),
        },
        federation_config=simulation_of(NODES),
        timeout_seconds=MOST_SECONDS,
        on_log=lines.append,
    )

    assert outcome.status == "finished:completed"
    assert "[ROUND 1/1]" in outcome.log_path.read_text()
    assert any("configure_train" in line for line in lines)
    report = json.loads(results.read_text())
    assert 0.6 < report["accuracy_worst"] <= report["accuracy_mean"] <= 1.0
    assert report["wall_seconds"] > 0
    # One round: each node was handed the initial model, and sent back what it had learned.
    assert report["handout_bytes"] == report["training_bytes"] >= NODES * MODEL_BYTES
    assert report["model_bytes_through_server_in_training"] == report["training_bytes"]
    assert report["on_request_bytes"] == 0


def test_a_run_that_fails_shows_why(superlink: SuperLink) -> None:
    with pytest.raises(
        DigestError, match=r"ended as finished:failed, see .*failing\.log; its last lines:"
    ) as caught:
        run_app(
            superlink,
            FEDAVG_APP,
            name="failing",
            run_config={"learning-rate": "fast"},
            federation_config=simulation_of(2),
            timeout_seconds=MOST_SECONDS,
        )

    assert "could not convert string to float: 'fast'" in str(caught.value)


def test_an_unknown_setting_is_refused(superlink: SuperLink) -> None:
    with pytest.raises(DigestError, match=r"^`flwr run` failed: .*Invalid run configuration"):
        run_app(
            superlink,
            FEDAVG_APP,
            name="refused",
            run_config={"no-such-setting": 1},
            timeout_seconds=MOST_SECONDS,
        )


def test_an_interrupt_in_a_round_leaves_nothing_running(tmp_path: Path) -> None:
    superlink = SuperLink(simulation=True, log_dir=tmp_path)
    running: list[LaunchedProcess] = []

    def interrupt_in_round(_line: str) -> None:
        running[:] = superlink.leftover_processes()
        if any("ClientAppActor" in each.command for each in running):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), superlink:
        run_app(
            superlink,
            FEDAVG_APP,
            name="interrupted",
            run_config={"num-server-rounds": 1000},  # it does not end by itself
            federation_config=simulation_of(2),
            timeout_seconds=MOST_SECONDS,
            on_log=interrupt_in_round,
        )

    assert any("raylet" in each.command for each in running)
    assert [each for each in running if each.is_running] == []
    assert superlink.leftover_processes() == []
