"""Figures as people read them. None is shown as a dash: there is no such figure."""

from __future__ import annotations

NONE = "-"

_PREFIXES = ("", "k", "M", "G", "T")


def plain(value: float | None) -> str:
    """Return three significant digits, zeros at the end included; 0 itself needs none."""
    if value is None:
        return NONE
    return f"{value:#.3g}".removesuffix(".") if value else "0"


def counted(value: float | None) -> str:
    """Return a whole number, with commas between the thousands."""
    return NONE if value is None else f"{value:,.0f}"


def share(value: float | None) -> str:
    """Return a share of 1 in percent."""
    return NONE if value is None else f"{100 * value:.0f} %"


def accuracy(value: float | None) -> str:
    """Return a share of 1 with three digits after the point."""
    return NONE if value is None else f"{value:.3f}"


def size(count: float | None) -> str:
    """Return bytes with three significant digits and a decimal prefix: 1,230,000 is 1.23 MB."""
    if count is None:
        return NONE
    power = 0
    while count >= 999.5 and power < len(_PREFIXES) - 1:
        count /= 1000
        power += 1
    digits = 0 if power == 0 or count >= 99.95 else 1 if count >= 9.995 else 2
    return f"{count:.{digits}f} {_PREFIXES[power]}B"
