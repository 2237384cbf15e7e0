"""The README's deployment: its commands are those that the tests run, for other hosts."""

from __future__ import annotations

import re
import shlex
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    load_ssh_private_key,
    load_ssh_public_key,
)

from flwr_digest.launch.commands import (
    connection_toml,
    register_command,
    superlink_command,
    supernode_command,
)
from flwr_digest.launch.credentials import ServerFiles

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("\n## Deployment")[2].partition("\n## ")[0]

SUPERLINK = "10.0.0.1:8000"
CONNECTION = "my-hosts"
CA, KEY = Path("ca.crt"), Path("supernode.key")
CA_AT_HOME = Path("/home/me/ca.crt")
FILES = ServerFiles(ca_certificate=CA, certificate=Path("server.pem"), key=Path("server.key"))
Config = dict[str, str | int | float | bool]

NODE: Config = {"partition-id": 0, "num-partitions": 4, "digest-address": "10.0.0.2:7100"}
BEHIND: Config = {
    "partition-id": 1,
    "num-partitions": 4,
    "digest-address": "0.0.0.0:7100",
    "digest-advertise": "site-b.example.org:7100",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", SECTION, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    lines = "".join(blocks("shell")).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize(
    "expected",
    [
        superlink_command("0.0.0.0:8000"),
        superlink_command("0.0.0.0:8000", files=FILES),
        supernode_command(SUPERLINK, NODE),
        supernode_command(SUPERLINK, NODE, ca_certificate=CA, key=KEY),
        supernode_command(SUPERLINK, BEHIND),
        register_command(Path("supernode.key.pub"), CONNECTION),
    ],
    ids=["superlink", "secure superlink", "supernode", "secure supernode", "advertise", "register"],
)
def test_its_commands_are_those_of_a_launch(expected: list[str]) -> None:
    assert expected in commands()


def test_it_has_no_other_commands_of_flower() -> None:
    programs = [command[0] for command in commands()]
    assert programs.count("flower-superlink") == 2
    assert programs.count("flower-supernode") == 3
    assert programs.count("flwr") == 2


@pytest.mark.parametrize("ca_certificate", [None, CA_AT_HOME], ids=["insecure", "secure"])
def test_its_settings_are_those_of_a_launch(ca_certificate: Path | None) -> None:
    assert connection_toml(CONNECTION, SUPERLINK, ca_certificate) in blocks("toml")


@pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl")
def test_its_certificates_are_valid(tmp_path: Path) -> None:
    [script] = [block for block in blocks("shell") if block.startswith("openssl")]
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True, capture_output=True, timeout=60)

    trust = ssl.create_default_context(cafile=tmp_path / "ca.crt")
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    shake_hands(trust, served, "10.0.0.1")


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="there is no ssh-keygen")
def test_its_keys_are_of_the_kind_that_flower_takes(tmp_path: Path) -> None:
    [command] = [command for command in commands() if command[0] == "ssh-keygen"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)

    key = load_ssh_private_key((tmp_path / "supernode.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    public = load_ssh_public_key((tmp_path / "supernode.key.pub").read_bytes())
    assert public == key.public_key()


def shake_hands(trust: ssl.SSLContext, served: ssl.SSLContext, host: str) -> None:
    """Let a client and a server come to terms in memory; raises where they do not."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        trust.wrap_bio(down, up, server_hostname=host),
        served.wrap_bio(up, down, server_side=True),
    ]
    waiting = ends
    while waiting:
        waiting = [end for end in waiting if not done(end)]


def done(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
