from __future__ import annotations

import socket

from flwr_digest.launch.ports import LOOPBACK, free_ports


def test_all_ports_differ_and_can_be_bound() -> None:
    ports = free_ports(20)

    assert len(set(ports)) == 20
    assert any(can_be_bound(port) for port in ports)  # anyone may have taken some meanwhile


def can_be_bound(port: int) -> bool:
    with socket.socket() as server:
        try:
            server.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def test_a_port_in_use_is_not_handed_out() -> None:
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        assert server.getsockname()[1] not in free_ports(50)
