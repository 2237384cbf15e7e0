"""Seeded choice without a generator: the same key always draws the same item."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


def draw(items: Sequence[T], *key: int) -> T:
    """Pick one of `items`, as good as uniformly, decided by `key` alone.

    A hash instead of a generator: the choice depends on what is being decided (seed, stream, hop)
    and not on how many choices were made before, so simulator and overlay walk the same tour.

    Parameters
    ----------
    items : sequence
        At least one item, in an order that does not depend on the run (sorted, say).
    *key : int
        What is being decided, such as seed, stream and hop. Any size and sign.
    """
    text = ",".join(map(str, key)).encode()
    number = int.from_bytes(blake2b(text, digest_size=8).digest(), "big")
    return items[number % len(items)]
