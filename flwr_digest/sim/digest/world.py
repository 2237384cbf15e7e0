"""What all nodes of a run share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flwr_digest.core.messages import Message
from flwr_digest.sim.digest.agenda import Agenda
from flwr_digest.sim.digest.plans import Plans
from flwr_digest.sim.digest.program import Notes
from flwr_digest.sim.digest.report import Report
from flwr_digest.sim.digest.steps import StepTimes


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What the nodes of a run act on.

    Attributes
    ----------
    plans : Plans
        What each node is told.
    agenda : Agenda
        What happens next.
    times : StepTimes
        When nodes end their local steps.
    replay : Notes
        Where is noted what is to be computed.
    report : Report
        What happened.
    send : callable
        Sends a message from a node to a neighbor at a time.
    """

    plans: Plans
    agenda: Agenda
    times: StepTimes
    replay: Notes
    report: Report
    send: Callable[[int, int, Message, float], None]
