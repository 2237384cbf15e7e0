"""A node in a process of its own that is killed at a chosen moment, and goes on from its file.

Run as ``python -m tests.support.overlay_child JSON``; the JSON is that of an `Errand`. It says on
its standard output what it has done, a line of JSON each, before it can be killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from flwr_digest.core.effects import Effect
from flwr_digest.core.events import Event
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.state import StationState
from flwr_digest.overlay.keeper import Keeper
from flwr_digest.overlay.memory import recalled, save_states
from flwr_digest.overlay.session import Session
from flwr_digest.overlay.statefile import StateFile
from tests.support.overlay_session import (
    JOIN_SECONDS,
    LIFE,
    STREAM,
    Company,
    Member,
    UnitTrainer,
)

STEPS = 3  # a round
NEVER = 10**9


class Moment(StrEnum):
    """When a process is killed, counted in visits."""

    BEFORE = "before a visit is saved"
    TORN = "while it is being saved"
    SAVED = "when it is, and nobody has heard of it"
    TOLD = "when a neighbor has heard of it"


@dataclass(frozen=True, kw_only=True)
class Errand:
    """What one process is to do."""

    node: int
    count: int
    folder: str
    share: float
    life: int
    """For accounts, where these must be opened anew."""

    moment: Moment | None = None
    visits: int = 0
    rounds: int = NEVER

    def to_json(self) -> str:
        """Return the errand as JSON text."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Errand:
        """Return the errand that `to_json` wrote."""
        fields = json.loads(text)
        moment = fields.pop("moment")
        return Errand(moment=None if moment is None else Moment(moment), **fields)


def company_of(count: int, folder: Path) -> Company:
    """Return the company that all processes of one session know."""
    return Company(count=count, insecure=True, sockets=folder, rounds=NEVER)


def say(**fields: object) -> None:
    """Tell whoever has started this process."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def die() -> None:
    """End as no handler can see."""
    os.kill(os.getpid(), signal.SIGKILL)


class Doomed(Keeper):
    """A keeper that tells what it has saved, and knows when the process is to die."""

    def __init__(self, errand: Errand, file: StateFile) -> None:
        super().__init__(node_id=NodeId(errand.node), file=file, share=errand.share)
        self.errand, self.visits, self.told = errand, 0, False

    def keep(self, states: Mapping[StreamId, StationState]) -> None:
        """Save, or die."""
        self.visits += 1
        moment = self.errand.moment if self.visits >= self.errand.visits else None
        if moment is Moment.BEFORE:
            die()
        if moment is Moment.TORN:
            _tear_next_write()
        super().keep(states)
        say(steps=states[STREAM].account.steps)
        if moment is Moment.SAVED:
            die()
        self.told = moment is Moment.TOLD


def _tear_next_write() -> None:
    really = os.pwrite

    def pwrite(fd: int, data: memoryview, offset: int) -> int:
        really(fd, data[: len(data) // 2], offset)
        die()
        raise AssertionError("unreachable")

    os.pwrite = pwrite  # type: ignore[assignment]


def _die_when_told(session: Session, keeper: Doomed) -> None:
    """Die at the next event after the effects of the chosen visit: its receipt, say."""
    really = session.driver.node.handle

    def handle(event: Event, now: float) -> list[Effect]:
        if keeper.told:
            die()
        return really(event, now)

    session.driver.node.handle = handle  # type: ignore[method-assign]


def main(errand: Errand) -> None:
    """Take part until killed, or until the session is over."""
    folder = Path(errand.folder)
    company, node = company_of(errand.count, folder), NodeId(errand.node)
    file = StateFile(folder / f"{node}.digest")
    states = recalled(file, errand.life)
    rejoining = states is not None
    initial = np.zeros(company.layout.size, dtype=np.float32)
    if states is None:
        states = company.first_states(node, initial)
        save_states(file, states)
    account = states[STREAM].account
    say(life=account.life, known=account.steps)
    for life in range(LIFE + 1, account.life + 1):
        company.work.begin(node, life)
    keeper = Doomed(errand, file)
    trainer = UnitTrainer(company.work, node, states[STREAM].kept.model, account.life)
    session = Session(
        node_id=node,
        plan=company.plan(node),
        layout=company.layout,
        identity=None,
        listen=company.addresses[node],
        states=states,
        trainer=trainer,
        keeper=keeper,
        rejoining=rejoining,
    )
    _die_when_told(session, keeper)
    member = Member(
        session=session,
        trainer=trainer,
        rounds=errand.rounds,
        steps=STEPS,
        join_seconds=JOIN_SECONDS,
    )
    member.run()
    if member.error is not None:
        raise member.error
    final = session.final_states[STREAM]
    say(
        ending=session.report().ending,
        made=company.work.made[node, account.life],
        steps=final.account.steps,
        forfeited=session.report().totals()["forfeited_steps"],
    )


if __name__ == "__main__":
    main(Errand.from_json(sys.argv[1]))
