"""Who cannot be in a session together is told so in one line that says what to do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from flwr.app import Array, ArrayRecord

from flwr_digest.core.address import NOWHERE
from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import Hello
from flwr_digest.errors import ConfigError
from flwr_digest.strategies.checks import (
    check_hellos,
    check_links,
    check_shards,
)

NODES = [NodeId(node) for node in (3, 5, 8, 2**63 + 1, 2**64 - 1)]


def hello(node: int, *, address: str = "", slots: int = 0) -> Hello:
    address = address or f"10.0.0.{node % 250}:7100"
    return Hello(address=address, certificate="", kept={}, generation=0, slots=slots)


def hellos() -> dict[NodeId, Hello]:
    return {node: hello(node) for node in NODES}


def refusal(given: dict[NodeId, Hello]) -> str:
    with pytest.raises(ConfigError) as caught:
        check_hellos(given)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_nodes_that_can_reach_each_other_pass() -> None:
    check_hellos(hellos())
    check_hellos({node: hello(node, address=f"unix:/run/{node}") for node in NODES})
    check_hellos({node: hello(node, address=f"127.0.0.1:{7000 + node}") for node in NODES[:3]})
    check_hellos({NODES[0]: hello(3, address="localhost:7100")})


def only_dials(*nodes: NodeId) -> dict[NodeId, Hello]:
    return {
        node: replace(made, address=NOWHERE) if node in nodes else made
        for node, made in hellos().items()
    }


def test_several_nodes_may_only_dial() -> None:
    given = only_dials(*NODES[:3])
    check_hellos(given)
    hub = NODES[4]
    star = {node: frozenset({hub}) for node in NODES if node != hub}
    check_links(given, {**star, hub: frozenset(star)})


def test_two_neighbors_that_only_dial_are_both_named() -> None:
    pair = {NODES[0]: frozenset({NODES[1]}), NODES[1]: frozenset({NODES[0]})}
    with pytest.raises(ConfigError) as caught:
        check_links(only_dials(*NODES[:2]), pair)
    assert str(caught.value) == (
        f"nodes {NODES[0]} and {NODES[1]} are neighbors, and neither can be dialled: give one of "
        'them a digest-address, or use topology="star" around a node that has one'
    )


def test_two_nodes_with_one_address_are_both_named() -> None:
    given = hellos()
    given[NODES[2]] = hello(8, address=given[NODES[1]].address)
    line = refusal(given)
    assert f"nodes {NODES[1]} and {NODES[2]} both say" in line
    assert "give each its own digest-address" in line


@pytest.mark.parametrize("local", ["127.0.0.1:7100", "localhost:7100", "[::1]:7100", "unix:/run/s"])
def test_a_local_address_among_others_is_told_to_advertise(local: str) -> None:
    given = hellos()
    given[NODES[3]] = hello(NODES[3], address=local)
    line = refusal(given)
    assert f"node {NODES[3]} says to dial it at {local}" in line
    assert 'digest-advertise="HOST:PORT"' in line


def test_too_few_slots_name_the_command_that_gives_enough() -> None:
    given = hellos()
    given[NODES[0]] = hello(3, slots=2)
    line = refusal(given)
    assert "runs 2 of 5 nodes at once" in line
    assert (
        '--federation-config "num-supernodes=5 client-resources-num-cpus=1 init-args-num-cpus=5"'
        in line
    )


def test_enough_slots_are_enough_and_none_are_no_limit() -> None:
    check_hellos({node: hello(node, slots=5) for node in NODES})
    check_hellos({node: hello(node, slots=0) for node in NODES})


# --- shards of the model ------------------------------------------------------------------------


def arrays() -> ArrayRecord:
    values: dict[str, npt.NDArray[np.generic]] = {
        "weight": np.zeros((2, 3), dtype=np.float32),
        "scale": np.array(1.0, dtype=np.float32),
        "count": np.zeros(50, dtype=np.int64),
    }
    return ArrayRecord({name: Array(value) for name, value in values.items()})


def test_a_model_has_at_most_as_many_shards_as_values() -> None:
    check_shards(arrays(), 1)
    check_shards(arrays(), 7)
    with pytest.raises(ConfigError, match="shards is 8: 1 to 7 are possible"):
        check_shards(arrays(), 8)


def test_a_model_that_no_node_can_take_is_left_to_the_nodes() -> None:
    check_shards(ArrayRecord({"w": Array(np.zeros(3, np.float16))}), 5)
