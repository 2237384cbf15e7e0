from __future__ import annotations

import os
from pathlib import Path

import pytest
from flwr.common.config import parse_config_args

from flwr_digest.errors import ConfigError
from flwr_digest.launch.leftovers import MARKER_VARIABLE
from flwr_digest.launch.workspace import Workspace, flower_program, key_values


def test_flower_reads_back_what_we_write() -> None:
    config: dict[str, str | int | float | bool] = {
        "partition-id": 3,
        "lr": 0.25,
        "tiny": 1e-07,
        "quiet": True,
        "digest-address": "127.0.0.1:7100",
        "results": "/a folder/with = and \\ and #.json",
        "empty": "",
    }

    assert parse_config_args([key_values(config)]) == config


@pytest.mark.parametrize("value", ["it's", "two\nlines"])
def test_what_flower_cannot_quote_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"name is .* but must be one line without single quotes"):
        key_values({"name": value})


def test_each_process_is_marked_with_launch_and_role(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "logs", {"EXTRA": "1"})
    try:
        environment = workspace.environment("superlink")
    finally:
        workspace.remove()

    assert environment[MARKER_VARIABLE] == f"{workspace.launch}/superlink"
    assert environment["FLWR_HOME"] == str(workspace.home)
    assert environment["EXTRA"] == "1"


def test_flower_finds_its_programs_beside_ours(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path, {})
    try:
        first = workspace.environment("superlink")["PATH"].split(os.pathsep)[0]
    finally:
        workspace.remove()

    assert Path(flower_program("flower-superexec")).parent == Path(first)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="no `flower-nonsense` beside"):
        flower_program("flower-nonsense")


def test_only_the_logs_stay(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "logs", {})
    workspace.write_connection("[superlink.launched]\n")
    assert (workspace.home / "config.toml").exists()

    workspace.remove()

    assert not workspace.home.exists()
    assert workspace.log_dir.exists()
