"""`tour`: real sessions on a ring, watched and weighed, small."""

from __future__ import annotations

import pytest

from flwr_digest.benches.pacing import Line
from flwr_digest.benches.ring import CountingTrainer, Ring
from flwr_digest.benches.tour import tour_speeds, watch, weight
from flwr_digest.core.ids import ShardId
from flwr_digest.errors import DigestError


def test_all_shards_go_round_a_paced_ring() -> None:
    line = Line(bytes_per_second=10e6, latency_seconds=0.001)

    found = watch(Ring(nodes=3, values=3000, shards=4, line=line), seconds=0.3)

    assert found.tours_per_minute > 0
    assert 0 <= found.resent_share < 1


def test_speeds_are_compared_with_one_shard_within_a_round() -> None:
    told: list[float] = []

    one, two = tour_speeds(4000, [1, 2], seconds=0.2, repeats=1, tell=told.append)

    assert (one.shards, two.shards) == (1, 2)
    assert one.over_one_shard == 1.0
    assert two.over_one_shard == two.tours_per_minute / one.tours_per_minute
    assert told == [0.5, 1.0]


def test_without_one_shard_there_is_nothing_to_compare_with() -> None:
    (two,) = tour_speeds(4000, [2], seconds=0.1, repeats=1, tell=lambda share: None)

    assert two.over_one_shard is None


def test_what_is_sent_beside_a_model_of_the_digits_is_less_than_a_twentieth() -> None:
    found = weight(10_000, tours=3)

    assert 0.005 < found.control_share < 0.05
    assert 0 < found.below_share < 0.2


def test_a_trainer_waits_until_every_shard_has_come() -> None:
    trainer = CountingTrainer(6)
    trainer.divide([slice(0, 3), slice(3, 6)], drift_correction=False)
    taken = trainer.take(ShardId(1))
    assert taken is not None
    assert taken.displacement.shape == (3,)
    trainer.rebase(ShardId(0), taken.displacement, None)

    with pytest.raises(DigestError, match=r"^a stream came 0 times in 0 s$"):
        trainer.await_visits(1, 0.0)

    trainer.rebase(ShardId(1), taken.displacement, None)
    trainer.await_visits(1, 0.0)
    assert trainer.visits() == 2
