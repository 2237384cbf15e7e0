"""Shards: the flat vector cut into slices, each with a stream of its own over all nodes.

A hop then takes a fraction of the time, several hops are under way at once on different links, and
every coordinate is toured as many times as often.
"""

from __future__ import annotations

from flwr_digest.errors import ConfigError


def shard_slices(size: int, shards: int) -> tuple[slice, ...]:
    """Return where each shard lies in a flat vector: contiguous, sizes differing by one at most.

    Parameters
    ----------
    size : int
        How many values the vector has.
    shards : int
        How many slices; 1 to `size`.

    Raises
    ------
    ConfigError
        No shard, or more shards than values.
    """
    if not 1 <= shards <= size:
        raise ConfigError(
            f"shards is {shards}: 1 to {size} are possible, the model has {size} values"
        )
    small, larger = divmod(size, shards)
    ends = [small * (k + 1) + min(k + 1, larger) for k in range(shards)]
    return tuple(slice(a, b) for a, b in zip([0, *ends], ends, strict=False))
