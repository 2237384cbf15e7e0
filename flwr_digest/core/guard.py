"""The guard of drift correction: sees a correction that swings ever more, and switches it off.

A correction that settles is harmless, however large: it comes to what the nodes' data differ by,
and each renewal changes it less than the one before. One that is fed by its own delayed effect
swings with growing amplitude. So the guard compares how much renewals change a node's correction
with the least that they have: numbers in, decision out, the same for simulated and real nodes.

A node whose guard trips tells nobody, and the others go on. Their corrections no longer add up to
0, which favors that node's data; but that is less than what all nodes drift without (measured with
data by label, 16 nodes, 4 regions: gaps of 0.001, 0.06, 0.4, 1.4 with 0, 2, 8, 16 nodes off).
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
digits, data by label and iid, 16 and 64 nodes, up to 64 shards and 63 regions: with the gate runs
stay below 2, those that diverge without it come to 12 and more."""

LEAST_SHARE = 0.05
"""Changes below this share of the correction are no swing, and not looked at: between regions many
visits bring hardly any news, and next to that the following change would look like growth. So would
a twitch of a correction that has settled. Measured: 0.03 to 0.1 do as well."""

FIRST_RENEWALS = 8
"""Changes of a shard's correction before the least is noted: corrections grow from nothing, as at
first rates come in one by one. A guess: two tours of a small company; 4 did as well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guard:
    """What one node knows of how its correction has changed. Never changed in place.

    Attributes
    ----------
    changes : mapping of ShardId to float
        The norm of each shard's latest change, of those that are looked at.
    renewals : mapping of ShardId to int
        How many there were.
    smoothed : float or None
        Smoothed norm of the changes of all shards together; None before the first.
    least : float or None
        The least that `smoothed` has been; None while any shard's correction is new.
    tripped : bool
        Whether the correction is off, for the rest of the session.
    """

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
        if change <= LEAST_SHARE * size:
            return self
        changes = {**self.changes, shard: change}
        count = self.renewals.get(shard, 0) + 1
        smoothed = self._smoothed(changes)
        seen = replace(
            self, changes=changes, renewals={**self.renewals, shard: count}, smoothed=smoothed
        )
        if count <= FIRST_RENEWALS:
            return replace(seen, least=None)
        least = smoothed if self.least is None else min(self.least, smoothed)
        return replace(seen, least=least, tripped=smoothed > MOST_GROWTH * least)

    def _smoothed(self, changes: Mapping[ShardId, float]) -> float:
        """Return the smoothed norm after one shard's change."""
        whole = hypot(*changes.values())
        if self.smoothed is None:
            return whole
        weight = SMOOTHING / len(changes)  # one shard's news is but a part of the whole
        return (1 - weight) * self.smoothed + weight * whole
