"""A run of DIGEST: schedule and replay in turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flwr_digest.sim.digest.company import Company
from flwr_digest.sim.digest.models import Models
from flwr_digest.sim.digest.plans import make_plans
from flwr_digest.sim.digest.replay import Replay
from flwr_digest.sim.digest.staleness import staleness_steps
from flwr_digest.sim.digest.steps import StepTimes
from flwr_digest.sim.rivals.training import LearningRate

if TYPE_CHECKING:
    from flwr_digest.sim.methods import Settings
    from flwr_digest.sim.problem import Problem
    from flwr_digest.sim.record import Recorder

WINDOW_STEPS = 64
"""Mean local steps that the schedule runs ahead of the replay. Measured: shorter windows have
fewer nodes in a batch, longer ones are no faster and take more memory."""


class Simulation:
    """A run of DIGEST.

    Parameters
    ----------
    problem : Problem
        What is learned, by whom, over which links.
    settings : Settings
        How DIGEST is set.

    Attributes
    ----------
    report : Report
        What happened, complete when the run has ended.
    participants : list of Participant
        The nodes.
    models : Models
        What they train, as of the latest measurement.

    Raises
    ------
    ConfigError
        More shards or regions than there can be.
    """

    def __init__(self, problem: Problem, settings: Settings) -> None:
        plans = make_plans(problem, settings)
        self._problem = problem
        self._times = StepTimes(problem)
        self.models = Models(
            problem,
            LearningRate(problem, settings),
            self._times,
            plans.slices,
            drift_correction=settings.drift_correction,
        )
        self._replay = Replay(self.models)
        self._company = Company(problem, plans, self._times, self._replay)
        self.report, self.participants = self._company.report, self._company.participants
        self._company.begin()

    def run(self, recorder: Recorder) -> None:
        """Run until all is measured."""
        agenda = self._company.agenda
        window_seconds = WINDOW_STEPS * self._problem.scenario.step_seconds
        while (due := recorder.next_due) is not None:
            until = min(due, agenda.now + window_seconds)
            agenda.run_until(until)
            made = [self._times.made_by(node, until) for node in range(self._problem.nodes)]
            self._replay.run(made, to_the_end=until == due)
            if until == due:
                self._measure(recorder, due, made)
        self._company.complete_report()
        self.report.guards_tripped = sum(guard.tripped for guard in self.models.guards)

    def _measure(self, recorder: Recorder, now: float, made: Sequence[int]) -> None:
        """Measure all nodes' models, which have made so many local steps."""
        nodes = range(self._problem.nodes)
        trained_seconds = sum(self._times.present_seconds(node, now) for node in nodes)
        recorder.measure(
            now,
            self.models.rows,
            bytes_sent=self._company.network.bytes_sent,
            idle_share=1.0 - trained_seconds / (now * len(nodes)),
            steps=sum(made) / len(nodes),
            staleness_steps=staleness_steps(self.participants, now),
        )
