"""What one chaos scenario has shown."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What one chaos scenario has shown.

    Parameters
    ----------
    scenario : str
        Its name.
    passed : bool
        Whether all that must hold did.
    double_counted : int
        Local steps that a model contained more than once, or that were never made.
    forfeited : int
        Local steps that were given up rather than counted twice, as the nodes' counters say.
    reissued : int
        Streams that were issued again.
    figures : dict of str to float, int or str
        What else was measured; names carry their units.
    failure : str
        What did not hold, in one line; empty where all did.
    """

    scenario: str
    passed: bool
    double_counted: int
    forfeited: int
    reissued: int
    figures: dict[str, float | int | str] = field(default_factory=dict)
    failure: str = ""
