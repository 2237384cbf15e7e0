"""Seeded choice without a generator."""

from __future__ import annotations

from collections import Counter

from flwr_digest.core.draw import draw


def test_the_same_key_draws_the_same() -> None:
    assert all(draw(range(1000), 5, 0, hop) == draw(range(1000), 5, 0, hop) for hop in range(20))


def test_a_key_draws_the_same_in_every_version() -> None:
    # Pinned: a change would send a seeded run another way.
    assert [draw("abcdef", 1, 2, hop) for hop in range(8)] == list("feaeadcf")


def test_every_part_of_the_key_counts() -> None:
    items = range(10**9)
    assert len({draw(items, *key) for key in [(1, 2), (2, 1), (12,), (1, 2, 0), (-1, 2)]}) == 5


def test_the_choice_is_near_uniform() -> None:
    counts = Counter(draw(range(6), 3, 0, hop) for hop in range(6000))
    assert set(counts) == set(range(6))
    assert max(abs(count - 1000) for count in counts.values()) < 150  # five sigma


def test_a_single_item_is_drawn_whatever_the_key() -> None:
    assert draw(["only"], 10**40, -3) == "only"
