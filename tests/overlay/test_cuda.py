"""The same with PyTorch, on a GPU too: models in training on CUDA, streams on the host."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from torch import nn

from flwr_digest.core.ids import NodeId
from flwr_digest.learning.flat import FlatModel
from flwr_digest.learning.handoff import Handoff
from flwr_digest.learning.hooks import StepHooks
from flwr_digest.overlay.session import Session, SessionReport
from tests.support.overlay_session import JOIN_SECONDS, MOST_SECONDS, Company

NODES = 4
STEPS = 200


class Unit(nn.Module):
    """One weight for each node and shard; a step of SGD with rate 1 moves the node's own by 1."""

    def __init__(self, shards: int, size: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(shards, size))

    def forward(self, rank: int) -> torch.Tensor:
        """Return a loss whose gradient is -1 at one weight of each shard."""
        return -self.weights[:, rank].sum()


def train(session: Session, handoff: Handoff, model: Unit, rank: int) -> None:
    """Make unit steps in an ordinary training loop."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    flat = FlatModel(model)
    hooks = StepHooks(model, optimizer, handoff)
    handoff.bind(flat.vector, flat.repair, flat.echoes)
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
    model, handoff = Unit(company.shards, company.size).to(device), Handoff()
    initial = np.zeros(company.layout.size, dtype=np.float32)
    session = Session(
        node_id=node,
        plan=company.plan(node),
        layout=company.layout,
        identity=company.identity(node),
        listen=company.addresses[node],
        states=company.first_states(node, initial),
        trainer=handoff,
    )
    with session:
        train(session, handoff, model, company.nodes.index(node))
    handoff.settle()
    models[node], reports[node] = model.weights.detach(), session.report()


def run_all(
    company: Company, device: str
) -> tuple[dict[NodeId, torch.Tensor], dict[NodeId, SessionReport]]:
    """Return all nodes' models and reports."""
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
    return models, reports


DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU"),
    ),
]


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("device", DEVICES)
def test_every_step_is_in_the_model_once(folder: Path, device: str, shards: int) -> None:
    company = Company(count=NODES, sockets=folder, local_steps=10, shards=shards)

    models, reports = run_all(company, device)

    expected = torch.zeros(shards, company.size)
    expected[:, :NODES] = STEPS / NODES
    for node in company.nodes:
        assert models[node].device.type == device
        torch.testing.assert_close(models[node].cpu(), expected, rtol=0, atol=1e-3)
        assert reports[node].totals()["forfeited_steps"] == 0
        assert reports[node].ending == "the session closed"


@pytest.mark.parametrize("device", DEVICES)
def test_corrected_gradients_do_every_nodes_work_at_every_node(folder: Path, device: str) -> None:
    """All gradients are constant: corrected, each node's is the mean."""
    company = Company(count=NODES, sockets=folder, local_steps=10, shards=2, drift_correction=True)

    models, reports = run_all(company, device)

    rows = models[company.nodes[0]].cpu()[:, :NODES]
    for node in company.nodes:
        torch.testing.assert_close(models[node].cpu()[:, :NODES], rows, rtol=0, atol=1e-3)
        assert reports[node].totals()["corrections_off"] == 0
    # A correction moves work from a node's own weight to the others', but makes none; and holds
    # some back while the mean does not have all nodes' rates yet.
    total = rows.sum(dim=1)
    assert bool((total <= STEPS + 1e-2).all())
    assert bool((total > STEPS / 2).all())
