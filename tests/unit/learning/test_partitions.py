"""Partitions: each sample has one owner, and each node has a sample."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.errors import ConfigError
from flwr_digest.learning.partitions import PARTITIONS, node_weights, partition

LABELS = np.random.default_rng(0).integers(0, 10, 1500)


def refusal(name: str = "iid", nodes: int = 4, alpha: float = 0.5, spread: float = 1.0) -> str:
    with pytest.raises(ConfigError) as caught:
        partition(name, LABELS, nodes, 1, alpha=alpha, spread=spread)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", PARTITIONS)
@pytest.mark.parametrize("nodes", [1, 2, 16, 64])
def test_each_sample_has_one_owner_and_each_node_a_sample(name: str, nodes: int) -> None:
    parts = partition(name, LABELS, nodes, 1)
    assert len(parts) == nodes
    assert min(map(len, parts)) > 0
    assert sorted(np.concatenate(parts).tolist()) == list(range(1500))


@given(data=st.data(), spread=st.floats(0, 5), seed=st.integers(0, 2**32))
def test_few_samples_are_shared_out_completely(
    data: st.DataObject, spread: float, seed: int
) -> None:
    labels = np.array(data.draw(st.lists(st.integers(0, 3), min_size=2, max_size=30)))
    name = data.draw(st.sampled_from(["iid", "by-label", "shards-by-label", "unequal"]))
    nodes = data.draw(
        st.integers(1, len(labels) // 2 if name == "shards-by-label" else len(labels))
    )
    parts = partition(name, labels, nodes, seed, spread=spread)
    assert min(map(len, parts)) > 0
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))


@pytest.mark.parametrize("name", PARTITIONS)
def test_the_same_seed_gives_the_same_parts(name: str) -> None:
    one, same = (np.concatenate(partition(name, LABELS, 16, 1)) for _ in range(2))
    assert one.tobytes() == same.tobytes()


@pytest.mark.parametrize("name", sorted(set(PARTITIONS) - {"by-label"}))
def test_another_seed_gives_other_parts(name: str) -> None:
    one, other = (np.concatenate(partition(name, LABELS, 16, seed)) for seed in (1, 2))
    assert one.tobytes() != other.tobytes()


@pytest.mark.parametrize("name", ["iid", "by-label"])
def test_parts_are_equal_but_for_one_sample(name: str) -> None:
    sizes = [len(part) for part in partition(name, LABELS, 16, 1)]
    assert max(sizes) - min(sizes) == 1


def test_by_label_a_node_knows_neighboring_labels_only() -> None:
    known = [set(LABELS[part].tolist()) for part in partition("by-label", LABELS, 16, 1)]
    assert max(map(len, known)) == 2
    assert [min(labels) for labels in known] == sorted(min(labels) for labels in known)


def test_two_shards_of_labels_are_few_labels_but_not_neighboring() -> None:
    known = [set(LABELS[part].tolist()) for part in partition("shards-by-label", LABELS, 50, 1)]
    assert max(map(len, known)) <= 4
    assert any(max(labels) - min(labels) > 4 for labels in known)


def test_the_smaller_alpha_the_fewer_labels_a_node_knows() -> None:
    def most_common_share(alpha: float) -> float:
        parts = partition("dirichlet", LABELS, 10, 1, alpha=alpha)
        return float(np.mean([np.bincount(LABELS[part]).max() / len(part) for part in parts]))

    assert most_common_share(0.1) > 0.5
    assert most_common_share(100) < 0.2


def test_the_larger_the_spread_the_less_equal_the_sizes() -> None:
    def ratio(spread: float) -> float:
        sizes = [len(part) for part in partition("unequal", LABELS, 16, 1, spread=spread)]
        return max(sizes) / min(sizes)

    assert ratio(0) < 1.05
    assert ratio(1) > 3
    assert ratio(2) > ratio(1)


def test_an_unknown_partition_is_refused() -> None:
    assert refusal("by-lable") == (
        "partition='by-lable' is unknown: choose from ['by-label', 'dirichlet', 'iid', "
        "'shards-by-label', 'unequal']; did you mean 'by-label'?"
    )


def test_more_nodes_than_samples_are_refused() -> None:
    assert refusal(nodes=1501) == (
        "nodes is 1501: there are 1500 training samples, and each node needs one"
    )
    assert refusal("shards-by-label", nodes=751) == (
        "nodes is 751: shards-by-label needs two samples for each node, and there are 1500"
    )


def test_draws_that_leave_nodes_without_samples_are_refused() -> None:
    assert refusal("dirichlet", nodes=64, alpha=0.001) == (
        "alpha is 0.001: in 100 draws some of the 64 nodes always got no sample; take a larger "
        "alpha or fewer nodes"
    )


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_alpha_is_above_zero(value: float) -> None:
    assert refusal(alpha=value) == f"alpha is {value}: it must be a number above 0"


@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_the_spread_is_not_negative(value: float) -> None:
    assert refusal(spread=value) == f"spread is {value}: it must be a number of 0 or more"


def test_there_is_at_least_one_node() -> None:
    assert refusal(nodes=0) == "nodes is 0: it must be a whole number of 1 or more"


def test_weights_are_shares_of_the_samples_or_all_alike() -> None:
    parts = [np.arange(1), np.arange(3)]
    assert node_weights(parts, "by-size").tolist() == [0.25, 0.75]
    assert node_weights(parts, "uniform").tolist() == [0.5, 0.5]


def test_an_unknown_weighting_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^weighting='size' is unknown: choose from \["):
        node_weights([np.arange(1)], "size")
