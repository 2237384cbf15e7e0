"""A neighborhood: who dials whom, and what is said of those that are missing."""

from __future__ import annotations

import pytest

from flwr_digest.core.address import NOWHERE
from flwr_digest.core.config import StreamPlan
from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.core.plan import Peer, Plan
from flwr_digest.overlay import neighborhood as module
from flwr_digest.overlay.neighborhood import Neighborhood

ME, LOWER, HIGHER, HIDDEN = map(NodeId, (5, 1, 7, 9))
ADDRESSES = {LOWER: "host:1", HIGHER: "host:7", HIDDEN: NOWHERE}


@pytest.fixture
def neighborhood() -> Neighborhood:
    peers = {peer: Peer(address=address, certificate="") for peer, address in ADDRESSES.items()}
    everyone = frozenset({ME, *peers})
    plan = Plan(
        session="s",
        topology={node: everyone - {node} for node in everyone},
        peers=peers,
        streams={StreamId(0): StreamPlan(shard=ShardId(0), start=ME, members=everyone)},
        weight=0.25,
        local_steps=0,
        seed=0,
        generation=0,
        session_seconds=60.0,
        insecure=True,
        life=1,
    )
    return Neighborhood(ME, "host:5", plan)


def test_the_lower_one_dials_unless_the_other_cannot_be_reached(neighborhood: Neighborhood) -> None:
    assert [neighborhood.dials(peer) for peer in ADDRESSES] == [False, True, False]


def test_it_says_where_they_are_and_why_they_are_missing(neighborhood: Neighborhood) -> None:
    neighborhood.note_trouble(HIGHER, "it refused")

    assert neighborhood.describe(ADDRESSES) == (
        "1 at host:1 (it has not dialled), 7 at host:7 (it refused), "
        "9 (which only dials) (it has not dialled)"
    )


def test_what_was_found_stays_though_a_neighbor_comes_and_goes_later(
    neighborhood: Neighborhood, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[NodeId] = []

    def look(peer: NodeId, at: Peer, *, insecure: bool) -> str:
        looked.append(peer)
        return "nobody listens"

    monkeypatch.setattr(module, "diagnose", look)

    neighborhood.go_on_without(ADDRESSES)
    neighborhood.note_trouble(LOWER, "")

    assert looked == [LOWER]  # the one that was to dial, and can be looked at
    assert neighborhood.why_missing(LOWER) == "nobody listens"
    assert neighborhood.why_missing(HIGHER) == "no answer yet"
