"""The layout of a model: which named arrays make up the flat vector that streams carry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from math import prod

from flwr_digest.errors import ConfigError

MOST_VALUES = 2**31  # 8 GiB of float32: past any model this is made for


@dataclass(frozen=True, slots=True)
class Entry:
    """One named array of the model."""

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many values the array has."""
        return prod(self.shape)

    def __str__(self) -> str:
        return f"{self.name}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Layout:
    """The named arrays of a model, one after another in one flat float32 vector.

    Two nodes can share a stream only if their layouts are equal: same names, same shapes, same
    order.

    Raises
    ------
    ConfigError
        No entries, a name twice, or more than `MOST_VALUES` values.
    """

    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        names = [entry.name for entry in self.entries]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f"the model has several arrays named {sorted(twice)}")
        if not 0 < self.size <= MOST_VALUES:
            raise ConfigError(
                f"the model has {self.size} floating-point values; 1 to {MOST_VALUES} are allowed"
            )

    @cached_property
    def size(self) -> int:
        """How many values the flat vector has."""
        return sum(entry.size for entry in self.entries)

    @cached_property
    def fingerprint(self) -> str:
        """Equal for equal layouts, and for no others: 32 hexadecimal digits."""
        return blake2b(self.to_json().encode(), digest_size=16).hexdigest()

    def parts(self) -> Iterator[tuple[Entry, slice]]:
        """Yield each array with its place in the flat vector."""
        start = 0
        for entry in self.entries:
            yield entry, slice(start, start + entry.size)
            start += entry.size

    def to_json(self) -> str:
        """Return the layout as JSON text."""
        return json.dumps([[entry.name, list(entry.shape)] for entry in self.entries])

    @staticmethod
    def from_json(text: str) -> Layout:
        """Return the layout that `to_json` wrote; `ConfigError` for any other text."""
        try:
            rows = json.loads(text)
            return Layout(tuple(Entry(str(name), tuple(map(int, dims))) for name, dims in rows))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"not a model layout: {error}") from error

    def __str__(self) -> str:
        shown = [str(entry) for entry in self.entries[:6]]
        more = f" and {len(self.entries) - 6} more" if len(self.entries) > 6 else ""
        return f"{self.size} values in {', '.join(shown)}{more} (layout {self.fingerprint[:8]})"

    def difference(self, other: Layout) -> str:
        """Return in words where this layout and `other` first differ; empty if nowhere."""
        if self == other:
            return ""
        for mine, theirs in zip(self.entries, other.entries, strict=False):
            if mine != theirs:
                return f"{mine} here is {theirs} there"
        common = min(len(self.entries), len(other.entries))
        if len(self.entries) > common:
            return f"{self.entries[common]} is only here"
        return f"{other.entries[common]} is only there"
