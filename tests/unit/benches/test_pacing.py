"""A paced link: what a line does with bytes, and that they come through whole."""

from __future__ import annotations

import socket
import time
from threading import Thread

import pytest

from flwr_digest.benches.pacing import Line, PacedLink
from flwr_digest.launch.ports import LOOPBACK

SLOW = Line(bytes_per_second=1000.0, latency_seconds=0.5)


def test_bytes_take_their_turn_and_then_their_way() -> None:
    assert SLOW.arrival(0.0, 10.0, 200) == pytest.approx((10.2, 10.7))


def test_bytes_wait_for_those_before_them() -> None:
    taken, _ = SLOW.arrival(0.0, 10.0, 200)

    assert SLOW.arrival(taken, 10.1, 300) == pytest.approx((10.5, 11.0))


def test_all_bytes_come_through_in_order_and_no_faster_than_the_line() -> None:
    line = Line(bytes_per_second=10e6, latency_seconds=0.02)
    sent = bytes(range(256)) * 4_000  # a tenth of a second
    with socket.create_server((LOOPBACK, 0)) as server:
        target = f"{LOOPBACK}:{server.getsockname()[1]}"
        with PacedLink(target, line) as link:
            host, port = link.address.split(":")
            with socket.create_connection((host, int(port))) as near:
                far, _ = server.accept()
                with far:
                    begin = time.monotonic()
                    sender = Thread(target=near.sendall, args=(sent,))
                    sender.start()
                    got = bytearray()
                    while len(got) < len(sent):
                        got += far.recv(1 << 16)
                    took = time.monotonic() - begin
                    sender.join()

    assert bytes(got) == sent
    assert took >= len(sent) / line.bytes_per_second + line.latency_seconds


def test_an_end_that_closes_is_passed_on() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        target = f"{LOOPBACK}:{server.getsockname()[1]}"
        with PacedLink(target, Line(bytes_per_second=1e6, latency_seconds=0.001)) as link:
            host, port = link.address.split(":")
            with socket.create_connection((host, int(port))) as near:
                far, _ = server.accept()
                with far:
                    near.shutdown(socket.SHUT_WR)

                    assert far.recv(1) == b""
