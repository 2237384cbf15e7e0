from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from flwr_digest.launch.ports import LOOPBACK, free_ports


def test_all_ports_differ_and_servers_can_listen_there() -> None:
    ports = free_ports(20)

    assert len(set(ports)) == 20
    for port in ports:
        server = grpc.server(ThreadPoolExecutor(1))
        assert server.add_insecure_port(f"{LOOPBACK}:{port}") == port
        server.stop(grace=None)


def test_who_takes_any_free_port_does_not_get_them() -> None:
    for port in free_ports(20):
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((LOOPBACK, port))  # as the system looks for one: without SO_REUSEADDR


def test_a_port_in_use_is_not_handed_out() -> None:
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        assert server.getsockname()[1] not in free_ports(50)
