"""Diagnosis: each cause is told apart, on real sockets, in bounded time."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import grpc
import pytest

from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import Peer
from flwr_digest.launch.ports import LOOPBACK
from flwr_digest.overlay import diagnose as module
from flwr_digest.overlay.channel import Security, server_options
from flwr_digest.overlay.diagnose import diagnose
from flwr_digest.overlay.identity import Identity, new_identity

ME, NODE = NodeId(1), NodeId(2)


@pytest.fixture(scope="module")
def identity() -> Identity:
    return new_identity(NODE)


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no busy machine look like a peer that hangs."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 60.0)


def look(address: str, identity: Identity | None = None) -> str:
    """Diagnose in plaintext, or expecting an identity."""
    certificate = identity.certificate.decode() if identity else ""
    found = diagnose(NODE, Peer(address=address, certificate=certificate), insecure=not identity)
    assert "\n" not in found
    return found


@contextmanager
def grpc_server(identity: Identity | None, address: str = f"{LOOPBACK}:0") -> Iterator[str]:
    """Run a server with the overlay's options and credentials; yield its address."""
    pool = ThreadPoolExecutor(1)  # starts no thread: it never comes to a call
    server = grpc.server(pool, options=server_options())
    if identity is None:
        port = server.add_insecure_port(address)
    else:
        peers = {ME: Peer(address="", certificate=new_identity(ME).certificate.decode())}
        credentials = Security(identity=identity, peers=peers).server_credentials()
        port = server.add_secure_port(address, credentials)
    server.start()
    try:
        yield address if address.startswith("unix:") else f"{LOOPBACK}:{port}"
    finally:
        server.stop(grace=None).wait()


@contextmanager
def listener(*, closes: bool) -> Iterator[str]:
    """Accept connections, and close them at once or never answer; yield the address."""
    with socket.create_server((LOOPBACK, 0)) as server:
        thread = Thread(target=_close_all, args=(server,))
        if closes:
            thread.start()
        yield f"{LOOPBACK}:{server.getsockname()[1]}"
        if closes:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _close_all(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # the test is over
            return
        connection.close()


def test_nothing_listens(folder: Path) -> None:
    expected = "nothing listens there (not started, or another address?)"
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))  # but does not listen
        assert look(f"{LOOPBACK}:{taken.getsockname()[1]}") == expected
    assert look(f"unix:{folder}/none.sock") == expected


def test_a_name_that_does_not_resolve() -> None:
    assert look("nowhere.invalid:7100") == "the name nowhere.invalid does not resolve"


def test_no_answer_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait_in_vain(*args: object, **kwargs: object) -> socket.socket:
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", wait_in_vain)
    assert look(f"{LOOPBACK}:7100") == "no answer (wrong address, or a firewall?)"


def test_another_error_of_the_system_is_told_as_it_is(folder: Path) -> None:
    (folder / "file").touch()
    assert look(f"unix:{folder}/file/node.sock") == "Not a directory"


@pytest.mark.parametrize("secure", [False, True])
def test_it_accepts_but_is_silent(
    secure: bool, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.1)
    with listener(closes=False) as address:
        found = look(address, identity if secure else None)
    assert found == "it accepts connections but does not answer"


def test_a_silent_unix_socket(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/node.sock")
        server.listen()
        assert look(f"unix:{folder}/node.sock") == "it accepts connections but does not answer"


@pytest.mark.parametrize("secure", [False, True])
def test_it_closes_connections_at_once(secure: bool, identity: Identity) -> None:
    with listener(closes=True) as address:
        found = look(address, identity if secure else None)
    assert found == "it closes connections at once (is something else listening there?)"


def test_it_is_gone_before_the_second_look() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        thread = Thread(target=_close_one_and_all, args=(server,))
        thread.start()
        found = look(f"{LOOPBACK}:{server.getsockname()[1]}")
        thread.join()
    assert found == "it closes connections at once (is something else listening there?)"


def _close_one_and_all(server: socket.socket) -> None:
    connection, _ = server.accept()
    server.close()
    connection.close()


def test_a_plan_with_a_certificate_that_is_none_is_told() -> None:
    with listener(closes=False) as address:
        broken = Peer(address=address, certificate="-----BEGIN CERTIFICATE-----")
        assert diagnose(NODE, broken, insecure=False)


def test_plaintext_meets_tls(identity: Identity) -> None:
    with grpc_server(identity) as address:
        assert look(address) == (
            "it speaks TLS, this node plaintext: give both sides the same `insecure`"
        )


def test_tls_meets_plaintext(identity: Identity) -> None:
    with grpc_server(None) as address:
        assert look(address, identity) == (
            "it speaks plaintext, this node TLS: give both sides the same `insecure`"
        )


def test_another_certificate(identity: Identity) -> None:
    for other in (new_identity(NODE), new_identity(ME)):
        with grpc_server(other) as address:
            assert look(address, identity) == (
                "it shows another certificate than the plan's (of another session or node?)"
            )


def test_a_server_that_is_fine(identity: Identity, folder: Path) -> None:
    with grpc_server(identity) as address:
        assert look(address, identity) == ""
    with grpc_server(None) as address:
        assert look(address) == ""
    with grpc_server(identity, f"unix:{folder}/node.sock") as address:
        assert look(address, identity) == ""
