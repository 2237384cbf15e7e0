"""Attached loops of all kinds in one real session: no step is lost or counted twice."""

from __future__ import annotations

from pathlib import Path
from threading import Condition, Thread

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord
from torch import nn
from torch.optim import SGD, Adam, Optimizer

from flwr_digest.clients.attached import AttachedTraining
from flwr_digest.clients.record import NodeRecord, first_record
from flwr_digest.core.ids import NodeId, ShardId
from flwr_digest.core.vector import Vector
from flwr_digest.overlay.session import Session
from tests.support.overlay_session import JOIN_SECONDS, LONGEST_SECONDS, MOST_SECONDS, Company

ROUNDS, STEPS = 4, 3


def small() -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


class User:
    """A node's own loop: clipping, accumulation, a schedule, autocast, and its own notes."""

    def __init__(self, node: NodeId, company: Company, record: NodeRecord) -> None:
        self.node, self.company, self.record = node, company, record
        self.model = small()
        self.optimizer: Optimizer = [
            SGD(self.model.parameters(), lr=0.1, momentum=0.9, nesterov=True),
            SGD([{"params": [p], "lr": 0.02 * (p.ndim + 1)} for p in self.model.parameters()]),
            Adam(self.model.parameters(), lr=0.01),
        ][node]
        self.moved = np.zeros(record.layout.size, dtype=np.float64)
        self.error: BaseException | None = None
        self._before = self._values()
        # The user's own hook comes first, before what a visit brings is taken in.
        self.optimizer.register_step_post_hook(lambda *_: self._note())
        self.schedule = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, 0.9)
        self._came, self._visits = Condition(), 0

    def _values(self) -> np.ndarray:
        found = [v.flatten() for v in self.model.state_dict().values() if v.is_floating_point()]
        return torch.cat(found).double().numpy()

    def _note(self) -> None:
        self.moved += self._values() - self._before

    def run(self) -> None:
        try:
            self._run()
        except Exception as error:  # noqa: BLE001 - it is the test that judges it
            self.error = error

    def _run(self) -> None:
        self.training = AttachedTraining(self.model, self.optimizer, self.record)
        self._watch_visits()
        states = self.company.first_states(self.node, self.record.model)
        session = Session(
            node_id=self.node,
            plan=self.company.plan(self.node),
            layout=self.record.layout,
            identity=None,
            listen=self.company.addresses[self.node],
            states=states,
            trainer=self.training.trainer,
        )
        with session:
            self.training.begin()
            session.await_neighbors(JOIN_SECONDS)
            for number in range(ROUNDS):
                seen = self._visits
                for step in range(STEPS):
                    self._step(number * STEPS + step)
                if number < ROUNDS - 1:
                    with self._came:
                        assert self._came.wait_for(lambda: self._visits > seen, LONGEST_SECONDS)  # noqa: B023
            session.finish_training()
            session.check()
        self.training.end()
        self.training.settle()
        self.training.check()

    def _watch_visits(self) -> None:
        trainer = self.training.trainer
        rebase = trainer.rebase

        def watched(shard: ShardId, model: Vector, correction: Vector | None) -> None:
            rebase(shard, model, correction)
            with self._came:
                self._visits += 1
                self._came.notify_all()

        trainer.rebase = watched  # type: ignore[method-assign]

    def _step(self, number: int) -> None:
        self._before = self._values()  # also the statistics of batches move, in the forward pass
        self.optimizer.zero_grad()
        for part in range(2):
            seed = 100 * self.node + 2 * number + part
            inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(seed))
            with torch.autocast("cpu", torch.bfloat16):
                loss = self.model(inputs).float().sub(self.node).square().mean() / 2
            torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()


@pytest.mark.parametrize("drift_correction", [False, True])
def test_what_three_users_steps_did_is_what_the_session_ends_with(
    sockets: Path, drift_correction: bool
) -> None:
    company = Company(count=3, insecure=True, sockets=sockets, drift_correction=drift_correction)
    record = first_record(ArrayRecord(small().state_dict()), life=1)
    users = [User(node, company, record) for node in company.nodes]
    threads = [Thread(target=user.run, daemon=True) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(MOST_SECONDS)
    assert not any(thread.is_alive() for thread in threads)
    assert [user.error for user in users] == [None] * 3
    expected = record.model + sum(user.moved for user in users) / 3
    for user in users:
        np.testing.assert_allclose(user.training.model, expected, rtol=1e-4, atol=1e-5)
        assert np.abs(user.moved).max() > 0.01
