"""A node of a chaos session in a process of its own.

Run as ``python -m tests.chaos.child JSON``; the JSON is that of an `Errand`. It trains until it is
told to finish or to leave: commands come on its standard input, a word and perhaps a number each.
Every copy that it keeps is checked, and in its journal, before anyone else can hear of it.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import numpy as np

from flwr_digest.core.ids import StreamId
from flwr_digest.core.shards import shard_slices
from flwr_digest.core.state import StationState
from flwr_digest.core.vector import Vector
from flwr_digest.overlay.keeper import Keeper
from flwr_digest.overlay.memory import recalled, save_states
from flwr_digest.overlay.session import Session
from flwr_digest.overlay.statefile import StateFile
from tests.chaos.journal import Begun, Ended, Writer, now
from tests.chaos.setup import Errand
from tests.chaos.witness import Witness
from tests.support.full_disk import disk_full
from tests.support.overlay_session import Company, UnitTrainer

MOST_STEPS = 10**6  # a last resort: unit steps are exact in float32 up to 2**24


class Orders:
    """What the process is told while it runs."""

    def __init__(self) -> None:
        self.over = Event()
        self.leaving = False
        self.factor = 1.0
        self._disk = ExitStack()
        Thread(target=self._listen, name="orders", daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            match line.split():
                case ["finish"]:
                    self.over.set()
                case ["leave"]:
                    self.leaving = True
                    self.over.set()
                case ["slow", factor]:
                    self.factor = float(factor)
                case ["disk", "full"]:
                    self._disk.enter_context(disk_full())
                case ["disk", "free"]:
                    self._disk.close()
        os._exit(1)  # whoever has started this process is gone


def states_of(errand: Errand, company: Company, file: StateFile) -> dict[StreamId, StationState]:
    """Return what the node goes on with: what its file holds, or nothing."""
    if (states := recalled(file, errand.life)) is None:
        initial = np.zeros(company.layout.size, dtype=np.float32)
        states = company.first_states(errand.node, initial, errand.life)
        save_states(file, states)
    return states


def model_of(company: Company, states: dict[StreamId, StationState]) -> Vector:
    """Return the model that the node trains on from, all shards of it."""
    model = np.zeros(company.layout.size, dtype=np.float32)
    places = shard_slices(len(model), company.shards)
    for stream_id, state in states.items():
        model[places[company.streams[stream_id].shard]] = state.kept.model
    return model


def session_of(errand: Errand, company: Company) -> Session:
    """Return the node's session, about to begin."""
    company.addresses[errand.node] = errand.listen
    for peer in company.graph[errand.node]:
        company.dialled_at[errand.node, peer] = errand.dialled[str(peer)]
    file = StateFile(Path(errand.state))
    states = states_of(errand, company, file)
    life = next(iter(states.values())).account.life
    return Session(
        node_id=errand.node,
        plan=company.plan(errand.node),
        layout=company.layout,
        identity=None,
        listen=errand.listen,
        states=states,
        trainer=UnitTrainer(company.work, errand.node, model_of(company, states), life),
        keeper=Keeper(node_id=errand.node, file=file, share=1.0),
        rejoining=errand.rejoining,
    )


def train(session: Session, orders: Orders, step_seconds: float) -> None:
    """Make local steps, each as long as it takes, until told otherwise."""
    trainer = session.trainer
    assert isinstance(trainer, UnitTrainer)
    for _ in range(MOST_STEPS):
        if orders.over.wait(step_seconds * orders.factor):
            break
        trainer.step()
    if not orders.leaving:
        session.finish_training()
        session.check()


def main(errand: Errand) -> None:
    """Take part until killed, told to leave, or until the session is over."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    company, journal, orders = errand.setup.company(), Writer(Path(errand.journal)), Orders()
    session = session_of(errand, company)
    life = next(iter(session.states.values())).account.life
    witness = Witness(session, company, life, journal)
    journal.write(Begun(at=now(), node=errand.node, life=life, known=witness.made))
    with session:
        train(session, orders, errand.setup.step_seconds)
    witness.look()
    report = session.report()
    journal.write(
        Ended(
            at=now(),
            node=errand.node,
            life=life,
            made=witness.made,
            ending=report.ending,
            left=orders.leaving,
            unshared=report.unshared_steps,
        )
    )
    logging.shutdown()
    os._exit(0)  # the thread that listens for orders waits for more


if __name__ == "__main__":
    main(Errand.from_json(sys.argv[1]))
