"""The same on a GPU: models in training on CUDA, streams on the host."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest
import torch
from torch import nn

from flwr_digest.core.ids import NodeId
from flwr_digest.core.state import first_state
from flwr_digest.learning.flat import FlatModel
from flwr_digest.learning.handoff import Handoff
from flwr_digest.learning.hooks import StepHooks
from flwr_digest.overlay.session import Session, SessionReport
from tests.support.overlay_session import JOIN_SECONDS, LIFE, MOST_SECONDS, STREAM, Company

NODES = 4
STEPS = 200


class Unit(nn.Module):
    """One weight for each node; a step of SGD with rate 1 moves the node's own by 1."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(size))

    def forward(self, rank: int) -> torch.Tensor:
        """Return a loss whose gradient is -1 at one weight."""
        return -self.weights[rank]


def train(session: Session, handoff: Handoff, model: Unit, rank: int) -> None:
    """Make unit steps in an ordinary training loop."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    flat = FlatModel(model)
    hooks = StepHooks(model, optimizer, handoff)
    handoff.bind(flat.vector, flat.repair)
    session.await_neighbors(JOIN_SECONDS)
    for _ in range(STEPS):
        optimizer.zero_grad()
        model(rank).backward()
        optimizer.step()
    flat.check()
    session.finish_training()
    hooks.remove()


def run_node(
    company: Company,
    node: NodeId,
    models: dict[NodeId, torch.Tensor],
    reports: dict[NodeId, SessionReport],
    device: str,
) -> None:
    model, handoff = Unit(company.size).to(device), Handoff()
    initial = model.weights.detach().cpu().numpy().copy()
    session = Session(
        node_id=node,
        plan=company.plan(node),
        layout=company.layout,
        identity=company.identity(node),
        listen=company.addresses[node],
        states={STREAM: first_state(STREAM, initial, LIFE)},
        trainer=handoff,
    )
    with session:
        train(session, handoff, model, company.nodes.index(node))
    handoff.settle()
    models[node], reports[node] = model.weights.detach(), session.report()


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU"),
        ),
    ],
)
def test_every_step_is_in_the_model_once(tmp_path: Path, device: str) -> None:
    company = Company(count=NODES, sockets=tmp_path, local_steps=10)
    models: dict[NodeId, torch.Tensor] = {}
    reports: dict[NodeId, SessionReport] = {}
    threads = [
        Thread(target=run_node, args=(company, node, models, reports, device), daemon=True)
        for node in company.nodes
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(MOST_SECONDS)

    assert set(models) == set(company.nodes)
    expected = torch.zeros(company.size)
    expected[:NODES] = STEPS / NODES
    for node in company.nodes:
        assert models[node].device.type == device
        torch.testing.assert_close(models[node].cpu(), expected, rtol=0, atol=1e-3)
        assert reports[node].totals()["forfeited_steps"] == 0
        assert reports[node].ending == "the session closed"
