"""Scenarios in TOML files: the fields of `Scenario` as keys.

`base` names a built-in scenario to start from. Faults (`outages`, `absences`, `freezes`,
`slowdowns` and `losses`) are arrays of tables, with the fields of the classes in `faults`::

    name = "one-node-naps"
    base = "digits-by-label-16"
    loss = 0.05

    [[absences]]
    node = 3
    start_seconds = 200
    end_seconds = 300

    [[slowdowns]]
    node = 5
    start_seconds = 100
    end_seconds = 400
    factor = 10
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from flwr_digest.errors import ConfigError
from flwr_digest.learning.checks import check_name
from flwr_digest.sim.faults import Absence, Freeze, Loss, Outage, Slowdown
from flwr_digest.sim.scenario import Scenario

FAULTS: Mapping[str, type] = {
    "outages": Outage,
    "absences": Absence,
    "freezes": Freeze,
    "slowdowns": Slowdown,
    "losses": Loss,
}
"""What can go wrong, by the key of a scenario."""


def read_scenario(path: Path, bases: Mapping[str, Scenario]) -> Scenario:
    """Return the scenario that a file describes.

    Parameters
    ----------
    path : Path
        A TOML file.
    bases : mapping of str to Scenario
        What `base` may name.

    Raises
    ------
    ConfigError
        No such file, no TOML, an unknown key (the nearest is suggested), a value of a wrong type
        or out of range; names the file.
    """
    try:
        return _scenario(_table(path), path.stem, bases)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _table(path: Path) -> dict[str, Any]:
    """Return what the file says, unchecked."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError("the file is not UTF-8, as TOML must be") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the file is not TOML: {error}") from error


def _scenario(table: dict[str, Any], stem: str, bases: Mapping[str, Scenario]) -> Scenario:
    """Return the scenario of a table; it is named as the file unless it says otherwise."""
    _check_keys("", table, ["base", *_keys(Scenario)])
    base = table.pop("base", None)
    values: dict[str, Any] = {"name": stem} | {key: _frozen(value) for key, value in table.items()}
    for field in values.keys() & FAULTS.keys():
        values[field] = _faults(field, values[field], FAULTS[field])
    if base is None:
        return Scenario(**values)
    check_name("base", base, bases)
    return replace(bases[base], **values)


def _faults(field: str, tables: object, kind: Callable[..., Any]) -> tuple[Any, ...]:
    """Return the faults of an array of tables."""
    if not isinstance(tables, tuple) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{field} must be an array of tables: [[{field}]]")
    return tuple(_fault(field, table, kind) for table in tables)


def _fault(field: str, table: dict[str, Any], kind: Callable[..., Any]) -> Any:  # noqa: ANN401
    """Return the fault of one table."""
    _check_keys(f"{field}.", table, _keys(kind))
    for key in _keys(kind, required=True):
        if key not in table:
            raise ConfigError(f"{field}.{key} is missing: each of the {field} needs it")
    return kind(**table)


def _keys(kind: Any, *, required: bool = False) -> list[str]:  # noqa: ANN401
    """Return the names of a dataclass's fields; only those without a default, if so wanted."""
    return [field.name for field in fields(kind) if not required or field.default is MISSING]


def _check_keys(place: str, table: Mapping[str, object], allowed: Iterable[str]) -> None:
    """Raise `ConfigError` for a key that is not allowed, with the nearest that is."""
    names = sorted(allowed)
    for key in table:
        if key not in names:
            near = get_close_matches(key, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose from {names}"
            raise ConfigError(f"{place}{key} is not a key that a scenario has; {hint}")


def _frozen(value: object) -> object:
    """Return the value with all its arrays as tuples."""
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return value
