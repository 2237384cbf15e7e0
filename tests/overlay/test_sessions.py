"""Whole sessions between nodes that behave: exact work, exact bytes, and nothing left behind."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flwr_digest.core.address import NOWHERE
from flwr_digest.core.ids import NodeId
from flwr_digest.errors import ConfigError, DigestError
from flwr_digest.launch.ports import LOOPBACK
from tests.support.overlay_session import (
    QUICK_SECONDS,
    STREAM,
    Company,
    eventually,
    overlay_threads,
)

MORE_FILES = 5  # gRPC may come to use some more for itself, but not one for each session


def ways(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        "tcp, mutual TLS": {},
        "tcp, plaintext": {"insecure": True},
        "unix sockets, plaintext": {"insecure": True, "sockets": folder},
        "unix sockets, mutual TLS": {"sockets": folder},
    }


@pytest.mark.parametrize("way", ways(Path()))
def test_all_nodes_end_with_one_model_that_holds_every_step_once(
    way: str, folder: Path, log: list[str]
) -> None:
    company = Company(count=4, **ways(folder)[way])
    company.add_all()

    company.run()

    company.check()
    work = company.rounds * company.steps / company.count
    for member in company.members.values():
        model = member.session.final_states[STREAM].kept.model
        np.testing.assert_allclose(model[:4], work, rtol=1e-5)
        np.testing.assert_allclose(member.trainer.model, model, rtol=1e-5)
        assert member.report.ending == "the session closed"
        assert member.report.unreached == {}
        assert member.missed == frozenset()
    assert company.slowest_leave() < QUICK_SECONDS


@pytest.mark.parametrize("hidden", [0, 2, 3])
def test_a_node_that_nobody_can_reach_dials_its_neighbors(hidden: int) -> None:
    company = Company(count=4)
    company.addresses[NodeId(hidden)] = NOWHERE
    company.add_all()

    company.run()

    company.check()
    assert all(member.missed == frozenset() for member in company.members.values())


def test_a_neighbor_that_only_dials_and_never_comes_is_named(log: list[str]) -> None:
    company = Company(count=3, insecure=True)
    company.addresses[NodeId(2)] = NOWHERE
    company.add_all(but=(2,))
    company.expect_absent(2)

    company.run()

    wanted = "goes on without 2 (which only dials) (it has not dialled)"
    assert any(wanted in line for line in log), log


@pytest.mark.parametrize("topology", ["small-world", "complete", "ring"])
def test_any_topology_will_do(topology: str) -> None:
    company = Company(count=6, topology=topology, insecure=True, local_steps=2)
    company.add_all()

    company.run()

    company.check()


@pytest.mark.usefixtures("endless_patience")
def test_every_byte_of_every_model_is_counted_at_both_ends() -> None:
    company = Company(count=4, insecure=True, size=600_000)  # 2.4 MB: two chunks
    company.add_all()

    company.run()

    company.check()
    totals = [member.report.totals() for member in company.members.values()]
    sent, received, hops = (
        sum(each[name] for each in totals)
        for name in ("payload_bytes_sent", "payload_bytes_received", "hops_sent")
    )
    model_bytes = 4 * company.size
    assert sent == received == hops * model_bytes
    for each in totals:
        # Of each hop: a byte for each chunk, and the header; of each visit a receipt.
        assert each["control_bytes_sent"] > 60 * each["hops_sent"]
        assert each["control_bytes_received"] > 60 * each["payload_bytes_received"] / model_bytes
        assert each["frames_sent"] >= 3 * each["hops_sent"]
    control_sent = sum(each["control_bytes_sent"] for each in totals)
    assert control_sent >= sum(each["control_bytes_received"] for each in totals)


def test_a_node_alone_trains_and_ends() -> None:
    company = Company(count=1, rounds=0)
    company.add_all()

    company.run()

    assert company.members[NodeId(0)].error is None
    assert company.members[NodeId(0)].report.ending == "all neighbors had left"


def test_the_next_session_goes_on_from_the_last_ones_states() -> None:
    first = Company(count=3, insecure=True)
    first.add_all()
    first.run()
    first.check()
    second = Company(count=3, insecure=True, session="the next")
    second.work = first.work
    for node in second.nodes:
        states = first.members[node].session.final_states
        second.add(node, states=states, generation=first.highest_generation())

    second.run()

    second.check()
    assert set(first.work.made.values()) == {2 * first.rounds * first.steps}


def test_a_port_in_use_is_one_clear_line() -> None:
    company = Company(count=2)
    member = company.add(NodeId(0))
    host, port = company.addresses[NodeId(0)].split(":")
    with socket.create_server((host, int(port))):
        member.run()

    assert isinstance(member.error, ConfigError)
    assert str(member.error) == f"cannot listen at {LOOPBACK}:{port}: is it in use?"
    assert overlay_threads() == []


def test_tls_without_an_identity_is_refused() -> None:
    company = Company(count=2)
    del company.identities[NodeId(0)]

    with pytest.raises(DigestError, match="node 0 has no identity, and the plan wants TLS"):
        company.add(NodeId(0))


def test_nothing_is_left_behind(folder: Path) -> None:
    def session(sockets: Path | None) -> None:
        company = Company(count=3, sockets=sockets)
        company.add_all()
        company.run()
        company.check()

    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    session(None)  # gRPC keeps a few descriptors for itself from its first use on
    session(folder)
    assert eventually(lambda: overlay_threads() == [])
    before = open_files()
    for _ in range(3):
        session(None)
        session(folder)
        assert list(folder.iterdir()) == []

    assert eventually(lambda: overlay_threads() == []), overlay_threads()
    most = before + MORE_FILES
    assert eventually(lambda: open_files() <= most), f"{open_files()} open files, {before} before"
