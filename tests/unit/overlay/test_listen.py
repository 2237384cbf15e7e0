"""Whether a node can listen where it is told to is found out early."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from flwr_digest.core.address import NOWHERE
from flwr_digest.errors import ConfigError
from flwr_digest.launch.ports import LOOPBACK
from flwr_digest.overlay.listen import check_free


def refusal(address: str) -> str:
    with pytest.raises(ConfigError) as caught:
        check_free(address)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_node_that_only_dials_needs_nothing() -> None:
    check_free(NOWHERE)


@pytest.mark.parametrize("host", [LOOPBACK, "localhost", "0.0.0.0"])
def test_a_free_port_passes_and_stays_free(host: str) -> None:
    with socket.socket() as taken:  # by nobody who listens; else anyone might take it meanwhile
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((LOOPBACK, 0))
        port = taken.getsockname()[1]
        check_free(f"{host}:{port}")
        check_free(f"{host}:{port}")


def test_a_port_in_use_is_refused() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        address = f"{LOOPBACK}:{server.getsockname()[1]}"
        assert refusal(address) == f"cannot listen at {address}: Address already in use"


def test_an_address_of_another_machine_is_refused() -> None:
    address = "192.0.2.1:7100"  # of no machine at all (RFC 5737)
    assert refusal(address) == f"cannot listen at {address}: Cannot assign requested address"


def test_a_name_that_does_not_resolve_is_refused() -> None:
    assert refusal("nowhere.invalid:7100").startswith("cannot listen at nowhere.invalid:7100: ")


def test_a_unix_socket_needs_its_folder(folder: Path) -> None:
    check_free(f"unix:{folder}/node.sock")
    missing = f"unix:{folder}/missing/node.sock"
    assert refusal(missing) == f"cannot listen at {missing}: there is no folder {folder}/missing"


def test_a_unix_socket_in_use_is_refused(folder: Path) -> None:
    path = folder / "node.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert refusal(f"unix:{path}") == f"cannot listen at unix:{path}: Address already in use"


def test_a_unix_socket_left_by_a_dead_process_is_free(folder: Path) -> None:
    path = folder / "node.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

    check_free(f"unix:{path}")

    assert path.exists()
