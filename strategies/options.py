"""What a user can set on `Digest` beyond what `FedAvg` has, checked once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from flwr_digest.core.walk import Walk
from flwr_digest.errors import ConfigError
from flwr_digest.strategies.weights import EXAMPLES, UNIFORM, WEIGHTINGS
from flwr_digest.topology.graphs import check_topology_name

MOST_STREAMS = 4096
"""Shards times regions. A guess: with more, naming them all takes longer than sending models."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How streams travel.

    Attributes
    ----------
    topology : str
        Who is whose neighbor: a name in `flwr_digest.topology.TOPOLOGIES`.
    local_steps : int
        The pace H: local steps that a node makes between two departures of a stream. 0: as fast
        as the links allow.
    shards : int
        Into how many slices the model is cut, each with streams of its own.
    regions : int
        Into how many regions the nodes are divided, each with streams of its own.
    drift_correction : bool
        Whether streams carry gradient rates, too.
    walk : str
        How streams choose their way: a value of `flwr_digest.core.walk.Walk`.
    calls_per_round : int
        How many times a train handler that does not attach its model is called in one round.
    steps_per_call : int
        As how many local steps such a call counts.
    steps_per_round : int or None
        How many local steps a `digest_session` makes in one round; None: the client's choice.
    weighting : str
        By what a node's local steps count: a value of `flwr_digest.strategies.weights.WEIGHTINGS`.
    session_seconds : float or None
        Longest time a node stays in one round, in seconds; None: the broker's choice.
    insecure : bool
        Plaintext between nodes instead of mutual TLS.
    seed : int
        Decides the topology's random links, the regions, the start nodes and the tours' ties.

    Raises
    ------
    ConfigError
        A value is not allowed.
    """

    topology: str
    local_steps: int
    session_seconds: float | None
    insecure: bool
    seed: int
    shards: int = 1
    regions: int = 1
    drift_correction: bool = False
    walk: str = Walk.TOUR.value
    calls_per_round: int = 1
    steps_per_call: int = 1
    steps_per_round: int | None = None
    weighting: str = UNIFORM

    def __post_init__(self) -> None:
        check_topology_name(self.topology)
        _check_whole("local_steps", self.local_steps, least=0)
        _check_whole("shards", self.shards, least=1)
        _check_whole("regions", self.regions, least=1)
        _check_whole("calls_per_round", self.calls_per_round, least=1)
        _check_whole("steps_per_call", self.steps_per_call, least=1)
        if self.steps_per_round is not None:
            _check_whole("steps_per_round", self.steps_per_round, least=1)
        if self.shards * self.regions > MOST_STREAMS:
            raise ConfigError(
                f"shards={self.shards} and regions={self.regions} make "
                f"{self.shards * self.regions} streams: at most {MOST_STREAMS} are allowed"
            )
        _check_name("walk", self.walk, [walk.value for walk in Walk])
        _check_name("weighting", self.weighting, WEIGHTINGS)
        for name in ("drift_correction", "insecure"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name}={getattr(self, name)!r}: it must be True or False")
        _check_seconds(self.session_seconds)

    @property
    def counts_examples(self) -> bool:
        """Whether nodes are asked how many training examples they have."""
        return self.weighting == EXAMPLES


def _check_whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name}={value!r}: it must be a whole number, {least} or more")
    if value < least:
        raise ConfigError(f"{name}={value}: it must be {least} or more")


def _check_seconds(seconds: object) -> None:
    if seconds is None:
        return
    number = seconds if isinstance(seconds, int | float) else math.nan
    if isinstance(seconds, bool) or not (math.isfinite(number) and number > 0):
        raise ConfigError(f"session_seconds={seconds!r}: it must be a number above 0")


def _check_name(option: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise ConfigError(
            f"{option}={name!r}: it must be one of {', '.join(names)}{_hint(name, names)}"
        )


def check_known(given: Iterable[str], known: Iterable[str]) -> None:
    """Check the names of options.

    Raises
    ------
    ConfigError
        One is unknown; names the nearest.
    """
    names = list(known)
    for name in given:
        if name not in names:
            raise ConfigError(f"Digest has no option {name!r}{_hint(name, names)}")


def _hint(name: object, names: Sequence[str]) -> str:
    near = get_close_matches(str(name), names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
