"""Where a stream goes from a node, by what the node knows of its links."""

from __future__ import annotations

import networkx as nx
import pytest

from flwr_digest.core.ids import NodeId, link
from flwr_digest.core.route import is_alone, noted, onward
from flwr_digest.core.stream import Tour
from flwr_digest.core.walk import Walk
from tests.unit.core.builders import OTHER, STREAM, A, B, C, config, stream, topology_of, visiting

PATH = topology_of(nx.path_graph(3))
NOBODY: frozenset[NodeId] = frozenset()
ENDS = {STREAM: visiting({A, C}), OTHER: visiting({A, B})}  # the first passes through B


def test_a_tour_is_told_of_the_nodes_own_links() -> None:
    known = Tour(dead_links=frozenset({link(A, B), link(B, C)}))
    assert noted(config(), known, frozenset({B})).dead_links == {link(A, C), link(B, C)}


@pytest.mark.parametrize(("live", "alone"), [(NOBODY, True), (frozenset({B}), False)])
def test_a_node_is_alone_when_no_link_leads_to_a_member(
    live: frozenset[NodeId], alone: bool
) -> None:
    assert is_alone(config(topology=PATH), STREAM, live) is alone
    assert is_alone(config(topology=PATH, streams=ENDS), STREAM, live) is alone  # by way of B


def test_a_node_whose_region_is_itself_is_always_alone() -> None:
    streams = {STREAM: visiting({A}), OTHER: visiting({A, B, C})}
    assert is_alone(config(topology=PATH, streams=streams), STREAM, frozenset({B}))


def test_a_stream_goes_to_who_was_not_seen() -> None:
    tour = Tour(seen=frozenset({A, B}))
    assert onward(config(), stream(), tour, touring=False) == C
    assert onward(config(), stream(), Tour(seen=frozenset({B, C})), touring=False) is None


def test_a_random_walk_becomes_a_tour_where_nobody_trains_and_on_the_last_tour() -> None:
    plan, seen = config(walk=Walk.RANDOM), Tour(seen=frozenset({B, C}))
    copies = [stream(hop=hop) for hop in range(20)]
    assert {onward(plan, copy, seen, touring=False) for copy in copies} == {B, C}
    assert {onward(plan, copy, seen, touring=True) for copy in copies} == {None}
    assert onward(plan, stream(closing=True), seen, touring=False) is None


def test_each_stay_of_a_random_walk_is_another_choice() -> None:
    plan = config(topology=topology_of(nx.star_graph(4)), node_id=C, walk=Walk.METROPOLIS)
    choices = {onward(plan, stream(), Tour(), stays=stays, touring=False) for stays in range(40)}
    assert choices == {C, A}  # it stays, or goes to the center
