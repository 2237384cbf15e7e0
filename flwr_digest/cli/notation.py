"""How methods are written: `digest:shards=16,drift-correction`, `fedavg:local-steps=5`.

A name, then what differs from the defaults: `key=value`, or for what is on or off just `key` or
`no-key`. Several methods follow each other after commas: what is not a method's name is a setting
of the method before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from flwr_digest.errors import ConfigError
from flwr_digest.sim.methods import LOCAL_STEPS, METHODS, Settings

Value = bool | int | float | str

OFF = "no-"
"""What stands before a setting that is switched off."""


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError("a whole number, 0 or more")
    return int(text)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("a number")
    return number


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("'true' or 'false'")
    return text == "true"


READERS: Mapping[str, Callable[[str], Value]] = {
    "learning-rate": _number,
    "local-steps": _whole,
    "shards": _whole,
    "regions": _whole,
    "drift-correction": _switch,
    "walk": str,
    "gate": _switch,
    "server": str,
}
"""By key, what makes a value of the text; a `ValueError` says what it should be."""

FAMILIES: Mapping[str, tuple[str, ...]] = {"gossip": ("ad-psgd", "d-psgd")}
"""By what people call several methods, their names here."""

_OF_DIGEST = ("shards", "regions", "drift-correction", "walk", "gate")


def _keys(method: str) -> tuple[str, ...]:
    """Return the keys that mean something to a method."""
    steps = ("local-steps",) if method in LOCAL_STEPS else ()
    streams = _OF_DIGEST if method == "digest" else ()
    server = ("server",) if method in ("fedavg", "scaffold") else ()
    return ("learning-rate", *steps, *streams, *server)


TAKES: Mapping[str, tuple[str, ...]] = {method: _keys(method) for method in METHODS}
"""By method, the keys that mean something to it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A method with what was asked of it, by the name of the field of `Settings`."""

    method: str
    given: Mapping[str, Value]

    @property
    def settings(self) -> Settings:
        """The settings; raises `ConfigError` for values that are not allowed."""
        given: dict[str, Any] = dict(self.given)
        return Settings(**given)

    @property
    def label(self) -> str:
        """The method as people read it, with spaces where a line may break."""
        return ", ".join([self.method, *map(_written, self.given, self.given.values())])


def _written(name: str, value: Value) -> str:
    key = name.replace("_", "-")
    if isinstance(value, bool):
        return key if value else OFF + key
    return f"{key}={value}".removesuffix(".0")  # and all other digits: labels tell methods apart


def parse_methods(texts: Iterable[str]) -> list[Choice]:
    """Read methods, given in several texts, each with one or several methods.

    Raises
    ------
    ConfigError
        An unknown method, key or value, or no method at all; the text names the nearest.
    """
    entries = [entry for text in texts for entry in _entries(text)]
    if not entries:
        raise ConfigError(f"no method is named: choose from {', '.join(METHODS)}")
    return [parse_method(*entry) for entry in entries]


def parse_one(text: str) -> Choice:
    """Read exactly one method; raises `ConfigError` as `parse_methods` does, and for several."""
    choices = parse_methods([text])
    if len(choices) > 1:
        raise ConfigError(f"method={text!r} names {len(choices)} methods: use compare for several")
    return choices[0]


def _entries(text: str) -> list[tuple[str, list[str]]]:
    """Cut a text into methods, each with the texts of its settings."""
    entries: list[tuple[str, list[str]]] = []
    for part in (part.strip() for part in text.split(",")):
        name, colon, setting = part.partition(":")
        if colon or name in METHODS or not entries or not entries[-1][1]:
            entries.append((name.strip(), [setting.strip()] if colon else []))
        else:
            entries[-1][1].append(part)
    return [entry for entry in entries if entry != ("", [])]


def _meant(method: str) -> str:
    """Return what may have been meant by the name of a method that there is not, as a hint."""
    if method in FAMILIES:
        return f"; {method} is {' or '.join(FAMILIES[method])}"
    if method.partition("=")[0].removeprefix(OFF) in READERS:
        return f"; settings follow a method after a colon: digest:{method}"
    return nearest(method, METHODS)


def parse_method(method: str, settings: Sequence[str]) -> Choice:
    """Read one method from its name and the texts of its settings; `ConfigError` if it is wrong."""
    if method not in METHODS:
        raise ConfigError(
            f"method={method!r} is unknown: choose from {', '.join(METHODS)}{_meant(method)}"
        )
    given: dict[str, Value] = {}
    for setting in settings:
        key, value = _setting(method, setting)
        name = key.replace("-", "_")
        if name in given:
            raise ConfigError(f"{method}: {key} is given twice")
        given[name] = value
    choice = Choice(method=method, given=given)
    _check(choice)
    return choice


def _setting(method: str, text: str) -> tuple[str, Value]:
    """Read `key=value`, `key` or `no-key`."""
    key, equals, value = (part.strip() for part in text.partition("="))
    off = not equals and key.startswith(OFF)
    key = key.removeprefix(OFF) if off else key
    if key not in TAKES[method]:
        names = [*TAKES[method], *METHODS]
        raise ConfigError(
            f"{method}: {text!r} is no setting of it: choose from {', '.join(TAKES[method])}"
            f"{nearest(key, names)}"
        )
    reader = READERS[key]
    if not equals and reader is not _switch:
        raise ConfigError(f"{method}: {key} needs a value, as in {key}=...")
    try:
        return key, reader(value) if equals else not off
    except ValueError as error:
        raise ConfigError(f"{method}: {key}={value!r} must be {error}") from error


def _check(choice: Choice) -> None:
    """Build the settings once, so that what they refuse is refused here, with the method named."""
    try:
        _ = choice.settings
    except ConfigError as error:
        raise ConfigError(f"{choice.method}: {error}") from error


def nearest(name: str, names: Iterable[str]) -> str:
    """Return "; did you mean ...?" with the nearest of some names, or nothing if none is near."""
    near = get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def with_options(choices: Sequence[Choice], options: Mapping[str, Value | None]) -> list[Choice]:
    """Give options to all methods that take them and do not say otherwise themselves.

    Parameters
    ----------
    choices : sequence of Choice
        The methods. Two that become the same are one.
    options : mapping of str to Value or None
        By field of `Settings`; None is not given.

    Raises
    ------
    ConfigError
        An option applies to none of the methods.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        key = name.replace("_", "-")
        if not any(key in TAKES[c.method] and name not in c.given for c in choices):
            labels = "; ".join(choice.label for choice in choices)
            raise ConfigError(f"--{key} applies to none of the methods: {labels}")
    changed: list[Choice] = []
    for choice in choices:
        more = {n: v for n, v in given.items() if n.replace("_", "-") in TAKES[choice.method]}
        new = Choice(method=choice.method, given={**more, **choice.given})
        _check(new)
        if (new.method, new.settings) not in [(c.method, c.settings) for c in changed]:
            changed.append(new)
    return changed
