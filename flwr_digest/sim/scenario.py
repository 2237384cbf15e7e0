"""What is simulated: data, model, nodes, their speeds, links and faults. Checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from flwr_digest.errors import ConfigError
from flwr_digest.learning.checks import Range, check_name, check_number, check_numbers, check_text
from flwr_digest.learning.datasets import DATASETS
from flwr_digest.learning.partitions import PARTITIONS, WEIGHTINGS
from flwr_digest.learning.tasks import MODELS
from flwr_digest.sim.faults import Absence, Freeze, Loss, Outage, Slowdown
from flwr_digest.topology.graphs import check_topology_name

COMPUTE_MODELS = ("fixed", "exponential")
"""How a node's step times vary: not at all, or exponentially (as random as waiting times get)."""

_POSITIVE = Range(above=0)
_NOT_NEGATIVE = Range(least=0)
_CHANCE = Range(least=0, below=1)
_COUNT = Range(whole=True, least=1)

_NUMBERS = {
    "hidden": _COUNT,
    "regularization": _NOT_NEGATIVE,
    "alpha": _POSITIVE,
    "size_spread": _NOT_NEGATIVE,
    "nodes": _COUNT,
    "batch_size": _COUNT,
    "learning_rate": _POSITIVE,
    "decay": _NOT_NEGATIVE,
    "steps": _POSITIVE,
    "step_seconds": _POSITIVE,
    "speed_spread": _NOT_NEGATIVE,
    "stall_probability": _CHANCE,
    "stall_seconds": _NOT_NEGATIVE,
    "transfer_seconds": _NOT_NEGATIVE,
    "latency_seconds": _NOT_NEGATIVE,
    "loss": _CHANCE,
    "measurements": _COUNT,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """All that a run depends on, but for the method and the seed.

    "Measured" below means: the value that the project's comparison of DIGEST with gossip and
    FedAvg was made with.

    Attributes
    ----------
    name : str
        What users call it.
    summary : str
        One line on what it shows.
    dataset : str
        One of `DATASETS`.
    model : str
        One of `MODELS`.
    hidden : int
        Of `mlp`: the units of its hidden layer. 64: measured.
    regularization : float
        The loss includes half of this times the squared length of the model. 1e-3: measured.
    partition : str
        One of `PARTITIONS`: who has which samples.
    alpha : float
        Of partition `dirichlet`: the smaller, the fewer labels a node knows. 0.5: the usual value
        of Li et al. 2022 (NIID-Bench).
    size_spread : float
        Of partition `unequal`: standard deviation of the logarithm of the sizes. 1.0: a guess.
    weighting : str
        One of `WEIGHTINGS`: what a node's steps count. `uniform` (1/N): as in DIGEST; measured.
    nodes : int
        How many nodes. 16: measured.
    topology : str
        One of `flwr_digest.topology.graphs.TOPOLOGIES`. `small-world`: measured.
    batch_size : int
        Samples per local step. 16: measured.
    learning_rate : float
        Of plain SGD. 0.5: measured.
    decay : float
        After t mean local steps the learning rate is that of the start over ``1 + decay t``. 0:
        measured.
    steps : float
        How long the run lasts, in mean local steps: its seconds are ``steps * step_seconds``.
    step_seconds : float
        What a local step takes on average at the median node. 1 s: so that seconds are steps.
    compute : str
        One of `COMPUTE_MODELS`. `exponential`: measured.
    speed_spread : float
        Standard deviation of the logarithm of the nodes' mean step times. 0.3: measured.
    stall_probability : float
        How likely it is that a local step takes `stall_seconds` more. 0: no stalls unless wanted.
    stall_seconds : float
        How long a stall is. 0: no stalls unless wanted.
    transfer_seconds : float
        What one whole model takes on a link; sets the bandwidth. 0: no time at all. 2 s: measured.
    latency_seconds : float
        What a message of any size takes on top. 0.2 s: measured.
    loss : float
        How likely it is that a message gets lost, from 0 to below 1. 0: as TCP.
    outages : sequence of Outage
        When which links are down.
    absences : sequence of Absence
        When which node is away.
    freezes : sequence of Freeze
        When which node stands still.
    slowdowns : sequence of Slowdown
        When which node's local steps take longer.
    losses : sequence of Loss
        When which links lose more messages.
    targets : sequence of float
        Gaps to the least loss; a run notes when it comes to each. 0.1 to 0.01: a guess of what
        users tell apart.
    measurements : int
        How often the nodes' models are measured, at even distances. 60: measured.

    Raises
    ------
    ConfigError
        A value is not allowed; names the field and what is.
    """

    name: str
    summary: str = "a scenario of your own"
    dataset: str = "digits"
    model: str = "softmax"
    hidden: int = 64
    regularization: float = 1e-3
    partition: str = "by-label"
    alpha: float = 0.5
    size_spread: float = 1.0
    weighting: str = "uniform"
    nodes: int = 16
    topology: str = "small-world"
    batch_size: int = 16
    learning_rate: float = 0.5
    decay: float = 0.0
    steps: float = 1500.0
    step_seconds: float = 1.0
    compute: str = "exponential"
    speed_spread: float = 0.3
    stall_probability: float = 0.0
    stall_seconds: float = 0.0
    transfer_seconds: float = 2.0
    latency_seconds: float = 0.2
    loss: float = 0.0
    outages: tuple[Outage, ...] = ()
    absences: tuple[Absence, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    slowdowns: tuple[Slowdown, ...] = ()
    losses: tuple[Loss, ...] = ()
    targets: tuple[float, ...] = (0.1, 0.05, 0.02, 0.01)
    measurements: int = 60

    def __post_init__(self) -> None:
        """Check every field."""
        check_text("name", self.name)
        check_text("summary", self.summary)
        self._check_names()
        for field, allowed in _NUMBERS.items():
            check_number(field, getattr(self, field), allowed)
        check_numbers("targets", self.targets, _POSITIVE)
        self._check_faults()

    def _check_names(self) -> None:
        """Check all fields that are one of some names."""
        check_name("dataset", self.dataset, DATASETS)
        check_name("model", self.model, MODELS)
        check_name("partition", self.partition, PARTITIONS)
        check_name("weighting", self.weighting, WEIGHTINGS)
        check_name("compute", self.compute, COMPUTE_MODELS)
        check_text("topology", self.topology)
        check_topology_name(self.topology)

    def _check_faults(self) -> None:
        """Check that faults are of nodes that there are, and those of one node lie apart."""
        for outage in self.outages:
            self._check_nodes("outages", {*outage.nodes, *chain.from_iterable(outage.links)})
        for loss in self.losses:
            self._check_nodes("losses", set(chain.from_iterable(loss.links)))
        self._check_nodes("absences", {absence.node for absence in self.absences})
        self._check_nodes("freezes", {freeze.node for freeze in self.freezes})
        self._check_nodes("slowdowns", {slowdown.node for slowdown in self.slowdowns})
        _check_apart("absences", self.absences)
        _check_apart("slowdowns", self.slowdowns)
        _check_apart("absences and freezes", (*self.absences, *self.freezes))

    def _check_nodes(self, field: str, nodes: set[int]) -> None:
        """Check that all these are nodes of the scenario."""
        for node in sorted(nodes):
            if node >= self.nodes:
                raise ConfigError(f"{field} names node {node}: the nodes are 0 to {self.nodes - 1}")

    @property
    def seconds(self) -> float:
        """How long the run lasts, in simulated seconds."""
        return self.steps * self.step_seconds

    def learning_rate_at(self, seconds: float, learning_rate: float | None = None) -> float:
        """Return the learning rate at a time.

        Parameters
        ----------
        seconds : float
            Simulated time since the start.
        learning_rate : float, optional
            That of the start; the scenario's own where not given.
        """
        start = self.learning_rate if learning_rate is None else learning_rate
        return start / (1 + self.decay * seconds / self.step_seconds)


def _check_apart(field: str, faults: Sequence[Absence | Freeze | Slowdown]) -> None:
    """Check that of those of one node each has ended before the next one begins."""
    ordered = sorted(faults, key=lambda fault: (fault.node, fault.start_seconds))
    for one, other in pairwise(ordered):
        if one.node == other.node and other.start_seconds <= one.end_seconds:
            raise ConfigError(f"{field} of node {one.node} overlap: they must lie apart")
