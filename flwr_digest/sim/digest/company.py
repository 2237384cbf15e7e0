"""All nodes of a run, their links, and what befalls them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from flwr_digest.core.messages import Message
from flwr_digest.sim.digest.agenda import Agenda
from flwr_digest.sim.digest.participant import Participant
from flwr_digest.sim.digest.plans import Plans
from flwr_digest.sim.digest.program import Notes
from flwr_digest.sim.digest.report import Report
from flwr_digest.sim.digest.sizes import message_bytes
from flwr_digest.sim.digest.steps import StepTimes
from flwr_digest.sim.digest.world import World
from flwr_digest.sim.faults import Absence
from flwr_digest.sim.network import Change

if TYPE_CHECKING:
    from flwr_digest.sim.problem import Problem


class Company:
    """Lets the nodes of a run do their part, whoever computes what their local steps do.

    Parameters
    ----------
    problem : Problem
        What is learned, by whom, over which links.
    plans : Plans
        What each node is told.
    times : StepTimes
        When nodes end their local steps.
    replay : Notes
        Where is noted what is to be computed.
    make : callable
        Makes a participant of a node and its world.

    Attributes
    ----------
    agenda : Agenda
        What happens next.
    network : Network
        The links.
    report : Report
        What happened so far.
    participants : list of Participant
        The nodes.
    """

    def __init__(
        self,
        problem: Problem,
        plans: Plans,
        times: StepTimes,
        replay: Notes,
        make: Callable[[int, World], Participant] = Participant,
    ) -> None:
        self._problem = problem
        self.agenda, self.report = Agenda(), Report()
        self.network = problem.network(freezes_cut=False)
        world = World(
            plans=plans,
            agenda=self.agenda,
            times=times,
            replay=replay,
            report=self.report,
            send=self._send,
        )
        self.participants = [make(node, world) for node in range(problem.nodes)]

    def begin(self) -> None:
        """Let all nodes that are there begin, with all links that are up."""
        network, scenario = self.network, self._problem.scenario
        for node in {absence.node for absence in scenario.absences if absence.killed}:
            self.participants[node].remember()
        present = [v for v in range(self._problem.nodes) if network.is_present(v, 0.0)]
        for node in present:
            self.participants[node].begin()
        for node in present:
            for peer in sorted(self._problem.neighbors[node]):
                if network.is_up(node, peer, 0.0):
                    self.participants[node].link_changed(peer, 0.0, up=True)
        for change in network.changes():
            if change.up or change.at_seconds > 0:
                self.agenda.at(change.at_seconds, partial(self._change, change))
        for freeze in scenario.freezes:
            participant = self.participants[freeze.node]
            self.agenda.at(freeze.start_seconds, partial(participant.freeze, freeze.end_seconds))
            self.agenda.at(freeze.end_seconds, participant.thaw)
        for node in present:
            self.participants[node].start(0.0)

    def complete_report(self) -> None:
        """Add what the nodes that are there have counted."""
        for participant in self.participants:
            if participant.core is not None:
                self.report.add_counters(participant.core)

    def _change(self, change: Change, now: float) -> None:
        """Let a node or a link come or go."""
        if change.node is not None:
            participant = self.participants[change.node]
            if change.up:
                participant.come_back(now)
            else:
                participant.leave(now, self._absence(change.node, now))
        if change.link is not None:
            one, other = change.link
            self.participants[one].link_changed(other, now, up=change.up)
            self.participants[other].link_changed(one, now, up=change.up)

    def _absence(self, node: int, now: float) -> Absence:
        """Return the absence of a node that begins now."""
        absences = self._problem.scenario.absences
        return next(a for a in absences if a.node == node and a.start_seconds == now)

    def _send(self, sender: int, receiver: int, message: Message, now: float) -> None:
        """Put a message on a link."""
        arrival = self.network.send(sender, receiver, message_bytes(message), now)
        if arrival is not None:
            receive = partial(self.participants[receiver].receive, sender, message)
            self.agenda.at(arrival, receive)
