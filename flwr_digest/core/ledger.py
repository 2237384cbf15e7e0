"""What a node has learned of one shard and not yet given to any stream, and its gradient rate."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flwr_digest.core.cargo import Cargo
from flwr_digest.core.vector import Vector


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """Local steps on their way from the trainer into the accounts. Never changed in place.

    Attributes
    ----------
    steps : int
        All local steps that were handed in, in this session.
    pending : Vector or None
        Displacement of the steps that no account has yet, shape ``[d]``; None where there are none.
    pending_steps : int
        How many these are.
    gradients : Vector or None
        With drift correction: sum of the gradients since the rate was last measured, ``[d]``.
    window_steps : int
        Over how many local steps.
    rate : Vector or None
        The node's own mean gradient per local step, as it was last given; None before the first.
    banked_at : float or None
        When the accounts were last brought up to date, by the driver's clock; None before.
    """

    steps: int = 0
    pending: Vector | None = None
    pending_steps: int = 0
    gradients: Vector | None = None
    window_steps: int = 0
    rate: Vector | None = None
    banked_at: float | None = None

    def handed_in(self, steps: int, displacement: Vector, gradients: Vector | None) -> Ledger:
        """Return the ledger with `steps` more local steps and the sum of their gradients."""
        return Ledger(
            steps=self.steps + steps,
            pending=_sum(self.pending, displacement),
            pending_steps=self.pending_steps + steps,
            gradients=_sum(self.gradients, gradients),
            window_steps=self.window_steps + steps,
            rate=self.rate,
            banked_at=self.banked_at,
        )

    def banked(self, window_steps: int, now: float) -> tuple[Ledger, Cargo | None]:
        """Return the ledger without pending steps, and what they have brought; None if nothing.

        The rate is measured over at least `window_steps` local steps (fewer are too noisy).
        """
        if self.pending is None:
            return self, None
        emptied = replace(self, pending=None, pending_steps=0, banked_at=now)
        cargo = Cargo(model=self.pending)
        if self.gradients is None:
            return emptied, cargo
        if self.window_steps < window_steps:
            return emptied, replace(cargo, rate=self.gradients - self.gradients)
        rate = (1.0 / self.window_steps) * self.gradients
        change = rate if self.rate is None else rate - self.rate
        emptied = replace(emptied, gradients=None, window_steps=0, rate=rate)
        return emptied, replace(cargo, rate=change)


def _sum(one: Vector | None, other: Vector | None) -> Vector | None:
    return other if one is None else one if other is None else one + other
