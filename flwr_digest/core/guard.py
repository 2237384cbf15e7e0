"""The guard of drift correction: sees a correction that swings ever more, and switches it off.

A correction that settles is harmless, however large: it comes to what the nodes' data differ by,
and each renewal changes it less than the one before. One that is fed by its own delayed effect
swings with growing amplitude. So the guard compares how much renewals change a node's correction
with the least that they have: numbers in, decision out, the same for simulated and real nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import hypot, isfinite

from flwr_digest.core.ids import ShardId

SMOOTHING = 1 / 8
"""Weight of a new observation: as in RFC 6298, for the same reason, to see past single outliers."""

MOST_GROWTH = 4.0
"""Growth over the least smoothed change at which the correction is switched off. Measured on the
digits: stable runs stay below 1.5, diverging ones (63 regions without a gate) come to 10."""

LEAST_SHARE = 0.1
"""Changes below this share of the correction are no swing: so that a correction that has settled
to the last digit is not switched off for a twitch. Measured: a swing changes it by over 0.15."""


FIRST_RENEWALS = 8
"""Renewals of a shard that are not looked at: at first rates come in one by one, and corrections
grow from nothing. A guess: two tours of a small company."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guard:
    """What one node knows of how its correction has changed. Never changed in place.

    Attributes
    ----------
    sizes, changes : mapping of ShardId to float
        The norm of each shard's latest correction, and of how far the last renewal changed it.
    renewals : mapping of ShardId to int
        How many there were.
    smoothed : float or None
        Smoothed norm of the changes of all shards together.
    least : float or None
        The least that `smoothed` has been.
    tripped : bool
        Whether the correction is off, for the rest of the session.
    """

    sizes: Mapping[ShardId, float] = field(default_factory=dict)
    changes: Mapping[ShardId, float] = field(default_factory=dict)
    renewals: Mapping[ShardId, int] = field(default_factory=dict)
    smoothed: float | None = None
    least: float | None = None
    tripped: bool = False

    def observed(self, shard: ShardId, size: float, change: float) -> Guard:
        """Return the guard after a shard's correction was renewed.

        Parameters
        ----------
        shard : ShardId
            Whose correction.
        size : float
            Euclidean norm of the new correction.
        change : float
            Euclidean norm of the new correction less the one before.
        """
        if self.tripped or not isfinite(size):
            return replace(self, tripped=True)
        count = self.renewals.get(shard, 0) + 1
        seen = replace(
            self,
            sizes={**self.sizes, shard: size},
            changes={**self.changes, shard: change},
            renewals={**self.renewals, shard: count},
        )
        if count <= FIRST_RENEWALS:
            return replace(seen, smoothed=None, least=None)
        changes = seen.changes
        whole = hypot(*changes.values())
        if self.smoothed is None or self.least is None:
            return replace(seen, smoothed=whole, least=whole)
        weight = SMOOTHING / len(changes)  # one shard's news is but a part of the whole
        smoothed = (1 - weight) * self.smoothed + weight * whole
        least = min(self.least, smoothed)
        swings = smoothed > LEAST_SHARE * hypot(*seen.sizes.values())
        tripped = swings and smoothed > MOST_GROWTH * least
        return replace(seen, smoothed=smoothed, least=least, tripped=tripped)
