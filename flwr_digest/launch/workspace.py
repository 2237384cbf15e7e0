"""The private surroundings of a launch: Flower's home, the environment, and what it was told."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flwr_digest.errors import ConfigError
from flwr_digest.launch.leftovers import MARKER_VARIABLE
from flwr_digest.launch.ports import LOOPBACK

CONNECTION = "launched"
"""The name of our SuperLink in Flower's configuration file."""

_LONGEST_RAY_FOLDER = 36
"""Ray puts Unix sockets up to 70 characters below its folder; 107 characters are allowed in all."""

_FLOWER_ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    # Otherwise Flower builds a fresh environment for each app, from the network.
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Several nodes share this machine: with more threads than cores they slow each other down.
    "OMP_NUM_THREADS": "1",
    # So that logs can be followed while they are written.
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """The private surroundings of one launch.

    Attributes
    ----------
    launch : str
        Unique; marks all processes of this launch.
    home : Path
        A temporary folder: Flower's home, and where Ray keeps its files.
    log_dir : Path
        Where the logs of all processes go; it stays.
    extra_environment : Mapping[str, str]
        What the user wants all processes to see in addition.
    """

    launch: str
    home: Path
    log_dir: Path
    extra_environment: Mapping[str, str]

    @classmethod
    def create(cls, log_dir: Path, extra_environment: Mapping[str, str]) -> Workspace:
        """Make the folders."""
        log_dir.mkdir(parents=True, exist_ok=True)
        return cls(
            launch=uuid.uuid4().hex,
            home=Path(tempfile.mkdtemp(prefix="digest-")),
            log_dir=log_dir.resolve(),
            extra_environment=dict(extra_environment),
        )

    def remove(self) -> None:
        """Remove all but the logs."""
        # A process that was killed a moment ago may still hold files here; they do no harm.
        shutil.rmtree(self.home, ignore_errors=True)

    def write_connection(self, connection: str) -> None:
        """Tell Flower's command line where our SuperLink is: TOML, of the name `CONNECTION`."""
        text = f'[superlink]\ndefault = "{CONNECTION}"\n\n{connection}'
        (self.home / "config.toml").write_text(text, encoding="utf-8")

    def environment(self, role: str) -> dict[str, str]:
        """Return the environment of a process of this launch."""
        ray = {"RAY_TMPDIR": str(self.home)} if len(str(self.home)) < _LONGEST_RAY_FOLDER else {}
        return {
            **os.environ,
            **_FLOWER_ENVIRONMENT,
            **ray,
            **self.extra_environment,
            "FLWR_HOME": str(self.home),
            # Flower finds the programs that it starts by the path.
            "PATH": os.pathsep.join([_scripts_folder(), os.environ.get("PATH", os.defpath)]),
            **_without_proxy(),
            MARKER_VARIABLE: f"{self.launch}/{role}",
        }


def _without_proxy() -> dict[str, str]:
    """Flower's command line would ask a proxy for 127.0.0.1, too."""
    exceptions = [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), LOOPBACK]
    joined = ",".join(filter(None, exceptions))
    return {"no_proxy": joined, "NO_PROXY": joined}


def flower_program(name: str) -> str:
    """Return the path of one of Flower's programs, from the Python environment that we run in.

    Raises
    ------
    ConfigError
        If Flower is not installed there.
    """
    program = shutil.which(name, path=_scripts_folder())
    if program is None:
        raise ConfigError(f"no `{name}` beside {sys.executable}: install flwr[simulation] there")
    return program


def with_path(command: Sequence[str]) -> list[str]:
    """Return a command of one of Flower's programs with that program's path.

    Raises
    ------
    ConfigError
        If Flower is not installed.
    """
    return [flower_program(command[0]), *command[1:]]


def _scripts_folder() -> str:
    return sysconfig.get_path("scripts")


def key_values(config: Mapping[str, str | int | float | bool]) -> str:
    """Write a configuration the way Flower's command line takes it: `a=1 b='x' c=true`.

    Raises
    ------
    ConfigError
        If a text holds what Flower has no way to quote.
    """
    return " ".join(f"{key}={_value(key, value)}" for key, value in config.items())


def _value(key: str, value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    if "'" in value or not value.isprintable():
        raise ConfigError(f"{key} is {value!r}, but must be one line without single quotes")
    return f"'{value}'"
