"""What is measured of a run, and when: the same for all methods.

All nodes' models are evaluated, not only their average: a method whose nodes disagree must show
it. The gap is the loss on the training data of all nodes minus the best loss that the task allows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from flwr_digest.errors import LocalProtocolError
from flwr_digest.learning.arrays import Doubles, Floats

if TYPE_CHECKING:
    from flwr_digest.sim.problem import Problem

Json = dict[str, Any]
"""What `json.dumps` takes, without NaN and infinity."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One measurement. NaN or infinity in a gap says that the method has diverged.

    Attributes
    ----------
    time_seconds : float
        When, in simulated time.
    steps : float
        Local steps made so far, mean over the nodes.
    gap_mean, gap_worst : float
        Loss on all training data minus the best loss: mean and greatest over the nodes' models.
    gap_of_average : float
        The same for the plain mean of the nodes' models.
    accuracy_mean, accuracy_worst : float
        On the test data: mean and least over the nodes' models.
    consensus_distance : float
        Root mean square of the distances of the nodes' models from their mean.
    models_sent : float
        `bytes_sent` in whole models of 4 bytes a parameter.
    bytes_sent : int
        Of all nodes and the server, lost messages included.
    idle_share : float
        Share of the nodes' time so far in which they did not train.
    staleness_steps : float, optional
        Local steps of another node that a node's model does not contain yet, mean over all pairs
        of nodes; None where a method has no such notion.
    """

    time_seconds: float
    steps: float
    gap_mean: float
    gap_worst: float
    gap_of_average: float
    accuracy_mean: float
    accuracy_worst: float
    consensus_distance: float
    models_sent: float
    bytes_sent: int
    idle_share: float
    staleness_steps: float | None


def _quiet(share: float) -> None:
    """Tell nobody."""


class Recorder:
    """Says when to measure, and keeps what was measured.

    Parameters
    ----------
    problem : Problem
        Whose data and best loss are measured against.
    until_seconds : float
        When the run ends: the last measurement.
    progress : callable
        Told after each measurement which share of the run is done, from 0 to 1.
    """

    def __init__(
        self, problem: Problem, until_seconds: float, progress: Callable[[float], None] = _quiet
    ) -> None:
        self.until_seconds = until_seconds
        self._problem = problem
        self._progress = progress
        self._due = np.linspace(0.0, until_seconds, problem.scenario.measurements + 1)[1:].tolist()
        self._done = 0
        self._rows: list[Row] = []

    @property
    def rows(self) -> list[Row]:
        """What was measured so far, in order."""
        return list(self._rows)

    @property
    def next_due(self) -> float | None:
        """When the next measurement is due, however far off; None when the run is over."""
        return self._due[self._done] if self._done < len(self._due) else None

    def due(self, time: float) -> float | None:
        """Return when a measurement was due that is not made yet, if by `time` there is one."""
        due = self.next_due
        return due if due is not None and due <= time else None

    def measure(
        self,
        time: float,
        models: Floats,
        *,
        bytes_sent: int,
        idle_share: float,
        steps: float,
        staleness_steps: float | None = None,
    ) -> None:
        """Measure all nodes' models, and go on to what is due after `time`.

        Parameters
        ----------
        time : float
            The time that `due` gave, or a later one.
        models : numpy.ndarray
            Shape ``[N, d]``: each node's model at that time.
        bytes_sent, idle_share, steps, staleness_steps
            As in `Row`.

        Raises
        ------
        LocalProtocolError
            No measurement is due at that time.
        """
        if self.due(time) is None:
            raise LocalProtocolError(f"no measurement is due at {time} s")
        self._rows.append(
            Row(
                time_seconds=float(time),
                steps=float(steps),
                models_sent=bytes_sent / self._problem.model_bytes,
                bytes_sent=int(bytes_sent),
                idle_share=float(idle_share),
                staleness_steps=None if staleness_steps is None else float(staleness_steps),
                **self._quality(models),
            )
        )
        while self.due(time) is not None:
            self._done += 1
        self._progress(self._done / len(self._due))

    def _quality(self, models: Floats) -> dict[str, float]:
        """Return what the models themselves decide."""
        average = models.mean(axis=0, dtype=np.float64)
        distances = np.linalg.norm(models - average, axis=1)
        # A server's nodes all have the same model, which is then evaluated once.
        unlike = models if np.any(models != models[0]) else models[:1]
        gaps, accuracies = self._evaluate(np.vstack([unlike, average.astype(models.dtype)]))
        return {
            "gap_mean": float(gaps[:-1].mean()),
            "gap_worst": float(gaps[:-1].max()),
            "gap_of_average": float(gaps[-1]),
            "accuracy_mean": float(accuracies[:-1].mean()),
            "accuracy_worst": float(accuracies[:-1].min()),
            "consensus_distance": float(np.sqrt(np.mean(distances**2))),
        }

    def _evaluate(self, models: Floats) -> tuple[Doubles, Doubles]:
        """Return the models' gaps on all training data and accuracies on all test data."""
        task, data = self._problem.task, self._problem.dataset
        losses, _ = task.evaluate(models, data.train_x, data.train_y)
        _, accuracies = task.evaluate(models, data.test_x, data.test_y)
        return losses - self._problem.best_loss, accuracies


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A finished run.

    Attributes
    ----------
    method : str
        One of `flwr_digest.sim.methods.METHODS`.
    settings : mapping
        The method's settings by name, defaults filled in.
    scenario : str
        The scenario's name.
    seed : int
        The run's seed.
    targets : tuple of float
        The gaps to be reached, as the scenario names them.
    rows : tuple of Row
        The measurements, in order; at least one.
    """

    method: str
    settings: Mapping[str, Any]
    scenario: str
    seed: int
    targets: tuple[float, ...]
    rows: tuple[Row, ...]

    @property
    def final(self) -> Row:
        """The last measurement."""
        return self.rows[-1]

    def reached(self, target: float) -> Row | None:
        """Return the first measurement whose mean gap is at or below the target, if any."""
        return next((row for row in self.rows if row.gap_mean <= target), None)

    def to_json(self) -> Json:
        """Return the last measurement, the settings, and what it took to each target."""
        reached = {f"{target:g}": self.reached(target) for target in self.targets}
        return {
            "method": self.method,
            "scenario": self.scenario,
            "seed": self.seed,
            **self._settings(),
            **{name: _finite(value) for name, value in asdict(self.final).items()},
            "time_to": {name: row and row.time_seconds for name, row in reached.items()},
            "bytes_to": {name: row and row.bytes_sent for name, row in reached.items()},
        }

    def series(self) -> Json:
        """Return for each field of `Row` its values over time: what a chart needs."""
        names = [field.name for field in fields(Row)]
        return {name: [_finite(getattr(row, name)) for row in self.rows] for name in names}

    def _settings(self) -> Json:
        """Return the settings that results are told apart by; the rivals have no streams."""
        streams = self.method == "digest"
        return {
            "learning_rate": self.settings["learning_rate"],
            "local_steps": self.settings["local_steps"],
            "shards": self.settings["shards"] if streams else None,
            "regions": self.settings["regions"] if streams else None,
            "drift_correction": streams and self.settings["drift_correction"],
        }


def _finite(value: float | None) -> float | None:
    """Return the value; None for NaN and infinity, which JSON does not have."""
    return value if value is not None and math.isfinite(value) else None
