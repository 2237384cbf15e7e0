"""Weights are shares: by node or by training examples, and nothing is guessed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import Hello
from flwr_digest.strategies.weights import shares, uncounted


def hellos(*counts: int | None) -> dict[NodeId, Hello]:
    """Return the hellos of nodes 1, 2, … with so many examples."""
    return {
        NodeId(number): Hello(
            address=f"10.0.0.{number}:1", certificate="", kept={}, generation=0, examples=count
        )
        for number, count in enumerate(counts, start=1)
    }


def test_uniform_weights_ask_nobody() -> None:
    assert list(shares(hellos(None, 0, 7, -1), "uniform").values()) == [0.25] * 4


def test_examples_count_as_under_fedavg() -> None:
    assert list(shares(hellos(30, 10, 60), "examples").values()) == [0.3, 0.1, 0.6]


@given(st.lists(st.integers(1, 2**40), min_size=1, max_size=50), st.sampled_from(["examples"]))
def test_weights_sum_to_one(counts: list[int], weighting: str) -> None:
    found = shares(hellos(*counts), weighting).values()
    assert math.fsum(found) == pytest.approx(1.0, abs=1e-12)
    assert all(0 < share <= 1 for share in found)


def test_who_has_none_or_cannot_tell_is_named_with_the_remedy() -> None:
    found = uncounted(hellos(5, None, 0, -3))
    assert list(found) == [2, 3, 4]
    assert "mods=[DigestMod(examples=...)]" in found[NodeId(2)]
    assert "it says that it has 0 training examples: it must be 1 or more" in found[NodeId(3)]
    assert "it has -3 training examples" in found[NodeId(4)]
    assert not any("\n" in why for why in found.values())
    assert uncounted(hellos(5, 1)) == {}
