"""Methods that go round by round: local steps, an exchange, and on; under local barriers.

A node goes on as soon as it has what it waits for, so nodes may be in different rounds. What is
measured at a time is each node's model at the start of the round that it is in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from flwr_digest.learning.arrays import Doubles, Floats
from flwr_digest.sim.rivals.clock import Clock
from flwr_digest.sim.rivals.training import LearningRate

if TYPE_CHECKING:
    from flwr_digest.sim.methods import Settings
    from flwr_digest.sim.problem import Problem
    from flwr_digest.sim.record import Recorder


class Method(Protocol):
    """What a method computes; knows no time."""

    @property
    def models(self) -> Floats:
        """All nodes' models at the start of the round, ``[N, d]``; never changed in place."""

    def round(self, rate: float) -> None:
        """Make one round at all nodes: `local_steps` steps each, and the exchange."""


class Exchange(Protocol):
    """Who waits for what."""

    def __call__(self, starts: Doubles, ends: Doubles) -> Doubles:
        """Send a round's messages; return when each node can start its next round.

        Parameters
        ----------
        starts, ends : numpy.ndarray
            Shape ``[N]``, seconds: when each node began with its local steps, and finished.
        """

    def bytes_by(self, time: float) -> int:
        """Return what was sent by a time; times must not go back."""


def run_rounds(
    problem: Problem,
    settings: Settings,
    recorder: Recorder,
    method: Method,
    exchange: Exchange,
    *,
    local_steps: int,
    lag_rounds: Doubles | None = None,
) -> None:
    """Run a method round by round until all is measured.

    Parameters
    ----------
    problem, settings, recorder
        As for every method.
    method : Method
        What is computed.
    exchange : Exchange
        How long it takes.
    local_steps : int
        How many steps a node makes in a round, 1 or more.
    lag_rounds : numpy.ndarray, optional
        Shape ``[N, N]``: a node ``v`` that starts round ``r`` has all that ``u`` did up to the end
        of round ``r - 1 - lag[v, u]``. None: the method has no such notion.
    """
    log = _Log(problem, recorder, local_steps, lag_rounds)
    rate = LearningRate(problem, settings)
    starts = np.zeros(problem.nodes)
    while recorder.next_due is not None:
        ends = log.begin(starts, method.models)
        following = exchange(starts, ends)
        log.measure(float(following.min()), exchange)
        # All nodes of a round share one rate: a rate that differs would weigh the nodes.
        method.round(rate.at(float(starts.mean())))
        starts = following


@dataclass(frozen=True, kw_only=True, slots=True)
class _Round:
    """One round: when each node starts it and ends its steps, and with which model it starts."""

    starts: Doubles
    finishes: Doubles
    trained_before: Doubles
    models: Floats


class _Log:
    """The rounds that nodes are in at the time measured next."""

    def __init__(
        self, problem: Problem, recorder: Recorder, local_steps: int, lag_rounds: Doubles | None
    ) -> None:
        self._clock = Clock(problem)
        self._recorder = recorder
        self._local_steps = local_steps
        self._lag_rounds = lag_rounds
        self._rounds: list[_Round] = []
        self._first = 0  # the number of the first round in the list
        self._trained = np.zeros(problem.nodes)

    def begin(self, starts: Doubles, models: Floats) -> Doubles:
        """Note that a round starts; return when each node ends its local steps, ``[N]``."""
        first = (self._first + len(self._rounds)) * self._local_steps
        finishes = np.array(
            [
                self._clock.finishes(node, start, first, self._local_steps)
                for node, start in enumerate(starts.tolist())
            ]
        )
        self._rounds.append(
            _Round(starts=starts, finishes=finishes, trained_before=self._trained, models=models)
        )
        self._trained = self._trained + self._present_between(starts, finishes[:, -1])
        return finishes[:, -1]

    def measure(self, horizon: float, exchange: Exchange) -> None:
        """Measure what is due before `horizon`, up to which all rounds are known."""
        while (due := self._recorder.next_due) is not None and due < horizon:
            self._measure_at(due, exchange.bytes_by(due))
        self._forget()

    def _measure_at(self, due: float, bytes_sent: int) -> None:
        """Measure the nodes, each in the round that it is in."""
        current = np.sum([entry.starts <= due for entry in self._rounds], axis=0) - 1
        models = np.empty_like(self._rounds[0].models, order="C")
        steps, trained = np.empty(len(models)), np.empty(len(models))
        for index in np.unique(current):
            entry, nodes = self._rounds[index], current == index
            models[nodes] = entry.models[nodes]
            ends = np.minimum(entry.finishes[:, -1], due)
            so_far = entry.trained_before + self._present_between(entry.starts, ends)
            trained[nodes] = so_far[nodes]
            steps[nodes] = (entry.finishes[nodes] <= due).sum(axis=1)
        rounds = self._first + current
        steps += self._local_steps * rounds
        self._recorder.measure(
            due,
            models,
            bytes_sent=bytes_sent,
            idle_share=1.0 - float(trained.mean()) / due,
            steps=float(steps.mean()),
            staleness_steps=self._staleness(steps, rounds),
        )

    def _staleness(self, steps: Doubles, rounds: np.ndarray) -> float | None:
        """Return how many steps of others the nodes' models do not contain, mean over pairs."""
        if self._lag_rounds is None:
            return None
        contained = np.maximum(rounds[:, np.newaxis] - self._lag_rounds, 0.0) * self._local_steps
        missing = steps[np.newaxis, :] - contained
        others = ~np.eye(len(steps), dtype=bool)
        return float(missing[others].mean()) if others.any() else 0.0

    def _forget(self) -> None:
        """Drop the rounds that all nodes will have left when the next measurement is due."""
        due = self._recorder.next_due
        while due is not None and len(self._rounds) > 1 and self._rounds[1].starts.max() <= due:
            del self._rounds[0]
            self._first += 1

    def _present_between(self, starts: Doubles, ends: Doubles) -> Doubles:
        """Return for how long each node was there between two times."""
        present = self._clock.present_seconds
        spans = zip(starts.tolist(), ends.tolist(), strict=True)
        return np.array(
            [present(v, end) - present(v, start) for v, (start, end) in enumerate(spans)]
        )
