from __future__ import annotations

import socket

from flwr_digest.launch.ports import LOOPBACK, free_ports


def test_all_ports_differ_and_can_be_bound() -> None:
    ports = free_ports(20)

    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as server:
            server.bind((LOOPBACK, port))


def test_a_port_in_use_is_not_handed_out() -> None:
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        assert server.getsockname()[1] not in free_ports(50)
