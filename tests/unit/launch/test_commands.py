from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from flwr_digest.launch.commands import (
    connection_toml,
    register_command,
    superlink_command,
    supernode_command,
)
from flwr_digest.launch.credentials import ServerFiles

CA, KEY = Path("ca.crt"), Path("node.key")
FILES = ServerFiles(ca_certificate=CA, certificate=Path("server.pem"), key=Path("server.key"))
ADDRESS = "10.0.0.1:8000"


def test_a_superlink_is_insecure_or_has_all_that_is_secure() -> None:
    insecure, secure = superlink_command(ADDRESS), superlink_command(ADDRESS, files=FILES)

    assert "--insecure" in insecure
    assert "--insecure" not in secure
    for option, value in [
        ("--ssl-ca-certfile", "ca.crt"),
        ("--ssl-certfile", "server.pem"),
        ("--ssl-keyfile", "server.key"),
    ]:
        assert secure[secure.index(option) + 1] == value
        assert option not in insecure
    assert "--enable-supernode-auth" in secure
    assert "--enable-supernode-auth" not in insecure


def test_only_a_simulation_is_told_so() -> None:
    assert "--simulation" in superlink_command(ADDRESS, simulation=True)
    assert "--simulation" not in superlink_command(ADDRESS)


def test_a_supernode_trusts_and_is_known_by_its_key() -> None:
    insecure = supernode_command(ADDRESS, {"a": 1})
    secure = supernode_command(ADDRESS, {"a": 1}, ca_certificate=CA, key=KEY)

    assert insecure == [
        *["flower-supernode", "--insecure", "--superlink", ADDRESS, "--node-config", "a=1"]
    ]
    assert "--insecure" not in secure
    assert secure[secure.index("--root-certificates") + 1] == "ca.crt"
    assert secure[secure.index("--auth-supernode-private-key") + 1] == "node.key"


def test_a_supernode_listens_where_it_is_told() -> None:
    command = supernode_command(ADDRESS, {}, address="[::1]:9100")

    assert command[command.index("--host") + 1] == "::1"
    assert command[command.index("--port") + 1] == "9100"


def test_a_key_is_registered_where_the_connection_leads() -> None:
    command = register_command(Path("node.key.pub"), "my-hosts")
    assert command == ["flwr", "supernode", "register", "node.key.pub", "my-hosts"]


@pytest.mark.parametrize(
    ("ca_certificate", "trust"),
    [(None, {"insecure": True}), (Path("/a b/ca.crt"), {"root-certificates": "/a b/ca.crt"})],
)
def test_the_settings_say_where_and_whom_to_trust(
    ca_certificate: Path | None, trust: dict[str, object]
) -> None:
    settings = tomllib.loads(connection_toml("my-hosts", ADDRESS, ca_certificate))
    assert settings == {"superlink": {"my-hosts": {"address": ADDRESS, **trust}}}
