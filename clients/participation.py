"""A node's part in one session: the overlay on one side, the user's training loop on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from flwr_digest.clients.active import current
from flwr_digest.clients.record import NodeRecord
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.plan import Plan
from flwr_digest.core.state import StationState
from flwr_digest.errors import ConfigError
from flwr_digest.learning.flat import FlatModel
from flwr_digest.learning.handoff import Handoff
from flwr_digest.learning.hooks import StepHooks
from flwr_digest.overlay.identity import Identity
from flwr_digest.overlay.keeper import Keeper
from flwr_digest.overlay.session import Session, SessionReport

if TYPE_CHECKING:
    import torch
    from torch import nn

# A guess: Flower's nodes start 1 - 6 s apart (measured), a small device loads its libraries and
# data in tens of seconds. The wait ends as soon as all neighbors are there.
JOIN_SECONDS = 60.0


class Participation:
    """Use as a context manager around the user's train handler.

    Parameters
    ----------
    node_id : NodeId
        Who this is.
    plan : Plan
        This node's plan.
    record : NodeRecord
        What the node remembers of the run.
    states : mapping of StreamId to StationState
        What of it the streams need, from `states_for`.
    keeper : Keeper
        Saves what the session makes of it.
    identity : Identity or None
        Key and certificate; None only with `plan.insecure`.
    listen : str
        Where to listen.
    """

    def __init__(
        self,
        *,
        node_id: NodeId,
        plan: Plan,
        record: NodeRecord,
        states: Mapping[StreamId, StationState],
        keeper: Keeper,
        identity: Identity | None,
        listen: str,
    ) -> None:
        self._record = record
        self._keeper = keeper
        self._handoff = Handoff()
        self._flat: FlatModel | None = None
        self._hooks: StepHooks | None = None
        self._joined = False
        self._session = Session(
            node_id=node_id,
            plan=plan,
            layout=record.layout,
            identity=identity,
            listen=listen,
            states=states,
            trainer=self._handoff,
            keeper=keeper,
        )

    def __enter__(self) -> Participation:
        self._token = current.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        current.reset(self._token)
        self._handoff.leave_step()
        if self._hooks is not None:
            self._hooks.remove()
        if self._joined:
            self._session.__exit__(kind, error, trace)
        self._handoff.settle()

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Share a model in training with the streams, and wait until the neighbors are there.

        The session begins only here, not with the handler: a stream must not wait at a node that
        still loads its data, and nodes that are linked are ready to train together.

        Raises
        ------
        ConfigError
            A second call, another model than the broker's, or one that is not loaded.
        """
        if self._flat is not None:
            raise ConfigError("attach() was called twice in one train handler; call it once")
        flat = FlatModel(model)
        if difference := flat.layout.difference(self._record.layout):
            raise ConfigError(
                f"this node's model differs from the initial model: {difference}; "
                f"here: {flat.layout}; there: {self._record.layout}"
            )
        if not np.array_equal(flat.vector.cpu().numpy(), self._record.model):
            raise ConfigError(
                "attach() found other values in the model than the message brought: "
                "load the arrays into the model first, then attach, then train"
            )
        self._session.__enter__()
        self._joined = True
        self._hooks = StepHooks(model, optimizer, self._handoff)
        self._flat = flat
        self._handoff.bind(flat.vector, flat.repair, flat.echoes)
        self._session.await_neighbors(JOIN_SECONDS)

    def finish(self) -> None:
        """End this node's training and stay until the session is over.

        Raises
        ------
        ConfigError
            The handler never called `attach`, or moved the model's tensors after it.
        DigestError
            The overlay has failed.
        """
        if self._flat is None:
            raise ConfigError(
                "the train handler ended without attach(model, optimizer): call it once, after "
                "the model is loaded and the optimizer made, before training"
            )
        self._flat.check()
        self._session.finish_training()
        self._session.check()

    @property
    def record(self) -> NodeRecord:
        """What the node remembers from now on. Read it after leaving."""
        states = self._session.final_states
        if self._flat is None:
            return replace(self._record, states=states)
        return replace(self._record, states=states, model=self._flat.vector.cpu().numpy().copy())

    def keep(self) -> None:
        """Save where there is no room for a new file: in that of the session, after leaving."""
        self._keeper.keep_all(self._session.final_states)

    @property
    def report(self) -> SessionReport:
        """The session in figures."""
        return self._session.report()
