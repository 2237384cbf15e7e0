"""A small learning task as a Flower user would write it, and the nodes to run it on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from flwr.app import (
    ArrayRecord,
    Context,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import Mod
from torch import nn

from flwr_digest.clients import attach, digest_mod
from flwr_digest.core.ids import StreamId
from tests.support.digest_messages import context_of
from tests.support.flower_grid import LocalGrid
from tests.support.places import socket_folder as socket_folder

FIRST_STREAM = StreamId(0)  # with one shard and one region the only one
STEPS = 12
EXAMPLES = 64

AtStep = Callable[[int, int], None]
BeforeAttach = Callable[[int, nn.Module, torch.optim.Optimizer], None]


class Net(nn.Module):
    """With parameters, float buffers and an integer buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.output = nn.Linear(8, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.output(torch.relu(self.norm(self.hidden(inputs))))
        return scores


def initial_arrays(make: Callable[[], nn.Module] = Net) -> ArrayRecord:
    torch.manual_seed(11)
    return ArrayRecord(make().state_dict())


def examples(node: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a node's own examples of one rule that all nodes share."""
    inputs = torch.randn(EXAMPLES, 4, generator=torch.Generator().manual_seed(node))
    return inputs, (inputs[:, 0] + inputs[:, 1] > 0).long()


def loss_of(model: nn.Module, node: int) -> torch.Tensor:
    inputs, labels = examples(node)
    return nn.functional.cross_entropy(model(inputs), labels)


def client_app(
    *,
    mods: Iterable[Mod] = (digest_mod,),
    attached: bool = True,
    before_attach: BeforeAttach = lambda node, model, optimizer: None,
    at_step: AtStep = lambda node, step: None,
) -> ClientApp:
    """Return a ClientApp as in Flower's quickstart, with DIGEST's two lines.

    The train handler calls `before_attach`, and `at_step` with the node and the number of the step.
    """
    app = ClientApp(mods=list(mods))

    @app.train()
    def train(message: Message, context: Context) -> Message:
        model = _loaded(message)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
        before_attach(context.node_id, model, optimizer)
        if attached:
            attach(model, optimizer)
        model.train()
        for step in range(STEPS):
            at_step(context.node_id, step)
            optimizer.zero_grad()
            loss = loss_of(model, context.node_id)
            torch.autograd.backward(loss)
            optimizer.step()
        metrics = MetricRecord({"loss": loss.item(), "num-examples": EXAMPLES})
        content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics})
        return Message(content, reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        model = _loaded(message).eval()
        with torch.no_grad():
            loss = loss_of(model, context.node_id).item()
        metrics = MetricRecord({"loss": loss, "num-examples": EXAMPLES})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return app


def _loaded(message: Message) -> Net:
    model = Net()
    model.load_state_dict(message.content.array_records["arrays"].to_torch_state_dict())
    return model


def federation(folder: Path, apps: Mapping[int, ClientApp]) -> LocalGrid:
    """Return a grid whose nodes listen at unix sockets in `folder`."""
    contexts = {
        node: context_of(node, {"digest-address": f"unix:{folder}/{node}"}) for node in apps
    }
    return LocalGrid(apps=apps, contexts=contexts)
