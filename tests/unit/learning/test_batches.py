"""Minibatches: complete passes, decided by seed, node and number alone."""

from __future__ import annotations

import numpy as np
import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.learning import batches
from flwr_digest.learning.arrays import Integers
from flwr_digest.learning.batches import Batches
from tests.unit.learning.tiny_data import numbered_dataset

PARTS = [np.arange(0, 5), np.arange(5, 17), np.arange(17, 20), np.arange(20, 60)]
DATA = numbered_dataset(60)


def fresh(batch_size: int = 4, seed: int = 1) -> Batches:
    return Batches(DATA, PARTS, batch_size, seed)


def drawn(source: Batches, node: int, count: int) -> Integers:
    """Return which samples a node's next minibatches have, `[count, b]`."""
    return np.concatenate([source.next(np.array([node]))[1] for _ in range(count)])


def test_a_minibatch_has_samples_and_labels_of_each_node() -> None:
    x, y = fresh().next(np.array([3, 0]))
    assert x.shape == (2, 4, 1)
    assert x.dtype == np.float32
    assert y.shape == (2, 4)
    assert y.dtype == np.int64
    assert x[:, :, 0].tolist() == y.tolist()
    assert set(y[0].tolist()) <= set(range(20, 60))
    assert set(y[1].tolist()) <= set(range(5))


@pytest.mark.parametrize("node", range(4))
@pytest.mark.parametrize("batch_size", [1, 4, 7, 64])
def test_each_pass_has_each_sample_once(node: int, batch_size: int) -> None:
    part = PARTS[node]
    order = drawn(fresh(batch_size), node, 20 * len(part)).reshape(-1, len(part))
    assert (np.sort(order, axis=1) == part).all()


def test_each_pass_has_an_order_of_its_own() -> None:
    order = drawn(fresh(), 3, 200).reshape(-1, 40)
    assert len({row.tobytes() for row in order}) == len(order)


def test_minibatches_do_not_depend_on_who_asks_when() -> None:
    together = fresh()
    rows = [together.next(np.arange(4))[1] for _ in range(300)]
    alone = fresh()
    for node in (2, 0, 3, 1):
        assert drawn(alone, node, 300).tolist() == [row[node].tolist() for row in rows]


def test_minibatches_do_not_depend_on_odd_ways_to_ask() -> None:
    draws = np.random.default_rng(5)
    source = fresh()
    found: list[list[list[int]]] = [[] for _ in PARTS]
    for _ in range(1500):
        nodes = draws.permutation(4)[: draws.integers(1, 5)]
        for node, samples in zip(nodes, source.next(nodes)[1], strict=True):
            found[node].append(samples.tolist())
    for node, samples in enumerate(found):
        assert len(samples) > 500
        assert samples == drawn(fresh(), node, len(samples)).tolist()


@pytest.mark.parametrize("ahead", [1, 2, 3, 100])
def test_minibatches_do_not_depend_on_how_many_are_planned_ahead(
    ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [drawn(fresh(), node, 150).tolist() for node in range(4)]
    monkeypatch.setattr(batches, "_MOST_AHEAD", ahead)
    assert [drawn(fresh(), node, 150).tolist() for node in range(4)] == expected


def test_the_plan_of_many_nodes_stays_small() -> None:
    data = numbered_dataset(2000)
    source = Batches(data, np.array_split(np.arange(2000), 1000), 512, 1)
    held = [value for value in vars(source).values() if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in held) < 2**27
    assert source.next(np.arange(1000))[1].shape == (1000, 512)


def test_another_seed_or_node_has_another_order() -> None:
    same_part = Batches(DATA, [PARTS[3], PARTS[3]], 40, 1)
    one, other = same_part.next(np.arange(2))[1]
    assert one.tolist() != other.tolist()
    assert drawn(fresh(seed=1), 3, 5).tolist() != drawn(fresh(seed=2), 3, 5).tolist()


def test_what_is_handed_out_is_the_callers_own() -> None:
    source, again = fresh(), fresh()
    x, y = source.next(np.arange(4))
    x[:] = -1
    y[:] = -1
    assert source.next(np.arange(4))[1].min() >= 0
    assert again.next(np.arange(4))[1].min() >= 0


def test_a_node_without_samples_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        Batches(DATA, [np.arange(3), np.arange(0)], 4, 1)
    assert str(caught.value) == "node 1 has no samples: each node needs at least one"


@pytest.mark.parametrize("size", [0, -1])
def test_a_minibatch_has_at_least_one_sample(size: int) -> None:
    with pytest.raises(ConfigError) as caught:
        fresh(batch_size=size)
    assert str(caught.value) == f"batch_size is {size}: it must be a whole number of 1 or more"
