from __future__ import annotations

from pathlib import Path

import pytest

from flwr_digest.errors import ConfigError, DigestError
from flwr_digest.launch import SuperLink


def test_a_simulation_has_nobody_to_let_in(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^secure=True .* simulation=False"):
        SuperLink(simulation=True, secure=True, log_dir=tmp_path)


def test_outside_a_with_statement_there_is_no_superlink(tmp_path: Path) -> None:
    superlink = SuperLink(simulation=False, secure=True, log_dir=tmp_path)

    with pytest.raises(DigestError, match="use it in a `with` statement"):
        superlink.workspace.environment("")
    assert superlink.ca_certificate is None
    assert superlink.leftover_processes() == []


def test_where_no_server_app_runs_none_is_killed(tmp_path: Path) -> None:
    with pytest.raises(DigestError, match="no ServerApp runs here"):
        SuperLink(simulation=False, log_dir=tmp_path).kill_server_app()
