"""What a user can set on `Digest` beyond what `FedAvg` has, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from flwr_digest.errors import ConfigError
from flwr_digest.topology.graphs import check_topology_name


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
    session_seconds : float or None
        Longest time a node stays in one round, in seconds; None: the broker's choice.
    insecure : bool
        Plaintext between nodes instead of mutual TLS.
    seed : int
        Decides the topology's random links, the start node and the tours' ties.

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

    def __post_init__(self) -> None:
        check_topology_name(self.topology)
        if self.local_steps < 0:
            raise ConfigError(f"local_steps={self.local_steps}: it must be 0 or more")
        seconds = self.session_seconds
        if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
            raise ConfigError(f"session_seconds={seconds}: it must be a number above 0")
