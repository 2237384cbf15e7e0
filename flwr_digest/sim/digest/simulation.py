"""A run of DIGEST: schedule and replay in turns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from flwr_digest.core.messages import Message
from flwr_digest.sim.digest.agenda import Agenda
from flwr_digest.sim.digest.models import Models
from flwr_digest.sim.digest.participant import Participant
from flwr_digest.sim.digest.plans import make_plans
from flwr_digest.sim.digest.replay import Replay
from flwr_digest.sim.digest.report import Report
from flwr_digest.sim.digest.sizes import message_bytes
from flwr_digest.sim.digest.staleness import staleness_steps
from flwr_digest.sim.digest.steps import StepTimes
from flwr_digest.sim.digest.world import World
from flwr_digest.sim.network import Change
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
        self._agenda = Agenda()
        self._network = problem.network()
        self._times = StepTimes(problem)
        self.report = Report()
        self.models = Models(
            problem,
            LearningRate(problem, settings),
            self._times,
            plans.slices,
            drift_correction=settings.drift_correction,
        )
        self._replay = Replay(self.models)
        world = World(
            plans=plans,
            agenda=self._agenda,
            times=self._times,
            replay=self._replay,
            report=self.report,
            send=self._send,
        )
        self.participants = [Participant(node, world) for node in range(problem.nodes)]
        self._begin()

    def run(self, recorder: Recorder) -> None:
        """Run until all is measured."""
        window_seconds = WINDOW_STEPS * self._problem.scenario.step_seconds
        while (due := recorder.next_due) is not None:
            until = min(due, self._agenda.now + window_seconds)
            self._agenda.run_until(until)
            made = [self._times.made_by(node, until) for node in range(self._problem.nodes)]
            self._replay.run(made, to_the_end=until == due)
            if until == due:
                self._measure(recorder, due, made)
        self._complete_report()

    def _begin(self) -> None:
        """Let all nodes that are there begin, with all links that are up."""
        network = self._network
        present = [v for v in range(self._problem.nodes) if network.is_present(v, 0.0)]
        for node in present:
            self.participants[node].begin()
        for node in present:
            for peer in sorted(self._problem.neighbors[node]):
                if network.is_up(node, peer, 0.0):
                    self.participants[node].link_changed(peer, 0.0, up=True)
        for change in network.changes():
            if change.up or change.at_seconds > 0:
                self._agenda.at(change.at_seconds, partial(self._change, change))
        for node in present:
            self.participants[node].start(0.0)

    def _change(self, change: Change, now: float) -> None:
        """Let a node or a link come or go."""
        if change.node is not None:
            participant = self.participants[change.node]
            if change.up:
                participant.come_back(now)
            else:
                participant.leave(now, with_state=self._keeps_state(change.node, now))
        if change.link is not None:
            one, other = change.link
            self.participants[one].link_changed(other, now, up=change.up)
            self.participants[other].link_changed(one, now, up=change.up)

    def _keeps_state(self, node: int, now: float) -> bool:
        """Whether a node that leaves now comes back with its state."""
        absences = self._problem.scenario.absences
        return any(a.with_state for a in absences if a.node == node and a.start_seconds == now)

    def _send(self, sender: int, receiver: int, message: Message, now: float) -> None:
        """Put a message on a link."""
        arrival = self._network.send(sender, receiver, message_bytes(message), now)
        if arrival is not None:
            receive = partial(self.participants[receiver].receive, sender, message)
            self._agenda.at(arrival, receive)

    def _measure(self, recorder: Recorder, now: float, made: Sequence[int]) -> None:
        """Measure all nodes' models, which have made so many local steps."""
        nodes = range(self._problem.nodes)
        trained_seconds = sum(self._times.present_seconds(node, now) for node in nodes)
        recorder.measure(
            now,
            self.models.rows,
            bytes_sent=self._network.bytes_sent,
            idle_share=1.0 - trained_seconds / (now * len(nodes)),
            steps=sum(made) / len(nodes),
            staleness_steps=staleness_steps(self.participants, now),
        )

    def _complete_report(self) -> None:
        for participant in self.participants:
            if participant.core is not None:
                self.report.add_counters(participant.core)
        self.report.guards_tripped = sum(guard.tripped for guard in self.models.guards)
