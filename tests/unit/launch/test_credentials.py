from __future__ import annotations

import ssl
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key
from flwr.supercore.primitives.asymmetric import uses_nist_ec_curve

from flwr_digest.launch.credentials import ServerFiles, server_files, supernode_key
from flwr_digest.launch.ports import LOOPBACK


def shake_hands(trusted: Path, files: ServerFiles, host: str) -> None:
    """Let a client and the server come to terms in memory; raises where they do not."""
    client, server = ssl.MemoryBIO(), ssl.MemoryBIO()
    trust = ssl.create_default_context(cafile=trusted)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(files.certificate, files.key)
    waiting = [
        trust.wrap_bio(server, client, server_hostname=host),
        served.wrap_bio(client, server, server_side=True),
    ]
    while waiting:
        waiting = [end for end in waiting if not has_come_to_terms(end)]


def has_come_to_terms(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def test_the_superlink_is_trusted_by_its_authority_on_this_machine(tmp_path: Path) -> None:
    files = server_files(tmp_path)

    shake_hands(files.ca_certificate, files, LOOPBACK)

    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(files.ca_certificate, files, "10.0.0.1")


def test_the_authority_of_another_launch_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    files, other = server_files(tmp_path), server_files(tmp_path / "other")

    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(other.ca_certificate, files, LOOPBACK)


def test_no_key_of_the_authority_is_left(tmp_path: Path) -> None:
    server_files(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {"ca.crt", "server.pem", "server.key"}


def test_a_supernodes_key_is_of_the_kind_that_flower_takes(tmp_path: Path) -> None:
    public_path = supernode_key(tmp_path / "node.key")

    key = load_ssh_private_key((tmp_path / "node.key").read_bytes(), None)
    public = load_ssh_public_key(public_path.read_bytes())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public == key.public_key()
    assert uses_nist_ec_curve(public)


def test_nobody_else_can_read_private_keys(tmp_path: Path) -> None:
    files = server_files(tmp_path)
    supernode_key(tmp_path / "node.key")

    modes = [path.stat().st_mode for path in (files.key, tmp_path / "node.key")]
    assert [stat.S_IMODE(mode) for mode in modes] == [0o600, 0o600]


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    supernode_key(tmp_path / "node.key")

    with pytest.raises(FileExistsError):
        supernode_key(tmp_path / "node.key")
