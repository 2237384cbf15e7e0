"""The two servers: one that no one has, and one with a link like any node's."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.sim.faults import Absence
from flwr_digest.sim.problem import Problem
from flwr_digest.sim.rivals.server import Server
from tests.unit.sim.rivals.builders import FAULTY, STEADY, small

PROBLEM = small(STEADY)  # 2 s for a model over a link, 0.5 s latency
STARTS = np.zeros(6)
ENDS = np.array([1.0, 2.0, 1.0, 5.0, 1.0, 1.0])


def server(kind: str, problem: Problem = PROBLEM, vectors: int = 1) -> Server:
    return Server(problem, kind, vectors * problem.model_bytes)


def test_an_ideal_server_waits_for_the_slowest_and_one_transfer_each_way() -> None:
    assert server("ideal")(STARTS, ENDS).tolist() == [5.0 + 2.5 + 2.5] * 6


def test_two_vectors_take_twice_the_transfer_time() -> None:
    assert server("ideal", vectors=2)(STARTS, ENDS).tolist() == [5.0 + 4.5 + 4.5] * 6


def test_transfers_of_a_server_with_one_link_queue_in_each_direction() -> None:
    following = server("as-node")(STARTS, np.ones(6))
    collected = 1.0 + 6 * 2.0 + 0.5
    assert following.tolist() == [collected + 2.0 * (v + 1) + 0.5 for v in range(6)]


def test_uploads_are_served_in_the_order_in_which_nodes_are_ready() -> None:
    ends = np.array([20.0, 0.0, 0.0, 0.0, 0.0, 0.0])  # the others are through before node 0 is
    assert server("as-node")(STARTS, ends).min() == 20.0 + 2.5 + 2.5


@pytest.mark.parametrize("kind", ["ideal", "as-node"])
def test_a_round_is_one_message_each_way_for_each_node(kind: str) -> None:
    exchange = server(kind, vectors=2)
    following = exchange(STARTS, ENDS)
    assert exchange.bytes_by(1e3) == 2 * 6 * 2 * PROBLEM.model_bytes
    exchange(following, following + 1)
    assert exchange.bytes_by(1e3) == 4 * 6 * 2 * PROBLEM.model_bytes


def test_downloads_do_not_count_before_all_uploads_are_in() -> None:
    exchange = server("ideal")
    exchange(STARTS, ENDS)
    assert exchange.bytes_by(7.4) == 6 * PROBLEM.model_bytes
    assert exchange.bytes_by(7.5) == 12 * PROBLEM.model_bytes


def test_an_ideal_server_loses_nothing_and_one_with_a_link_does() -> None:
    problem = small(FAULTY)
    sent = {}
    for kind in ("ideal", "as-node"):
        exchange, starts = server(kind, problem), np.zeros(6)
        for _ in range(5):
            starts = exchange(starts, starts + 1)
        sent[kind] = exchange.bytes_by(1e6)
    assert sent["ideal"] == 5 * 12 * problem.model_bytes < sent["as-node"]


def test_a_node_that_is_away_does_not_hold_up_the_others() -> None:
    away = Absence(node=3, start_seconds=19.0, end_seconds=100.0)  # its download is under way
    following = server("as-node", small(STEADY, absences=(away,)))(STARTS, np.zeros(6))
    assert following.tolist() == [15.0, 17.0, 19.0, 102.5, 23.0, 25.0]
