"""Checks of what users write: one line that names the field and says what is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from flwr_digest.errors import ConfigError


def check_name(field: str, name: object, allowed: Iterable[str]) -> None:
    """Raise `ConfigError` for a name that is not allowed, with the nearest that is."""
    names = sorted(allowed)
    if name in names:
        return
    near = get_close_matches(name, names, n=1) if isinstance(name, str) else []
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"{field}={name!r} is unknown: choose from {names}{hint}")


def check_text(field: str, value: object) -> None:
    """Raise `ConfigError` for what is no text, or empty."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{field} is {value!r}: it must be a text that is not empty")


def check_switch(field: str, value: object) -> None:
    """Raise `ConfigError` for what is neither true nor false."""
    if not isinstance(value, bool):
        raise ConfigError(f"{field} is {value!r}: it must be true or false")


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """The numbers that a field allows; never NaN, never infinite.

    Attributes
    ----------
    whole : bool
        Only whole numbers.
    above : float, optional
        The number must be greater.
    least : float, optional
        The number must not be less.
    below : float, optional
        The number must be less.
    """

    whole: bool = False
    above: float | None = None
    least: float | None = None
    below: float | None = None

    def __str__(self) -> str:
        """Say it in words: `a number above 0`."""
        words = ["a whole number" if self.whole else "a number"]
        if self.above is not None:
            words.append(f"above {self.above:g}")
        if self.least is not None:
            words.append(f"of {self.least:g} or more")
        if self.below is not None:
            words.append(f"and below {self.below:g}")
        return " ".join(words)

    def __contains__(self, value: object) -> bool:
        """Whether the value is a number within the range."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        return (
            math.isfinite(value)
            and (self.above is None or value > self.above)
            and (self.least is None or value >= self.least)
            and (self.below is None or value < self.below)
        )


def check_number(field: str, value: object, allowed: Range) -> None:
    """Raise `ConfigError` for what is no number within the range."""
    if value not in allowed:
        shown = repr(value) if isinstance(value, str) else value
        raise ConfigError(f"{field} is {shown}: it must be {allowed}")


def check_numbers(field: str, values: object, allowed: Range) -> None:
    """Raise `ConfigError` for what is no tuple of numbers within the range, at least one."""
    if not isinstance(values, tuple) or not values:
        raise ConfigError(f"{field} is {values!r}: it must be an array of at least one number")
    for value in values:
        check_number(field, value, allowed)
