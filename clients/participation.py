"""A node's part in one session: the overlay on one side, the user's training loop on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from flwr_digest.clients.active import current
from flwr_digest.clients.calls import CalledTraining
from flwr_digest.clients.record import NodeRecord
from flwr_digest.clients.sessions import streams_model
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.plan import Plan
from flwr_digest.core.state import StationState
from flwr_digest.core.trainer import Trainer
from flwr_digest.core.vector import all_finite
from flwr_digest.errors import ConfigError
from flwr_digest.learning.calls import NEEDS_ATTACH
from flwr_digest.overlay.identity import Identity
from flwr_digest.overlay.keeper import Keeper
from flwr_digest.overlay.session import Session, SessionReport

if TYPE_CHECKING:
    import torch
    from torch import nn

# A guess: Flower's nodes start 1 - 6 s apart (measured), a small device loads its libraries and
# data in tens of seconds. The wait ends as soon as all neighbors are there.
JOIN_SECONDS = 60.0
# A guess, too: some nodes take three times as long as others for the same call of their handler.
SLOWER = 3.0


class Training(Protocol):
    """What a node trains with: a model that was attached, or a handler that is called."""

    @property
    def trainer(self) -> Trainer:
        """Meets the overlay."""

    def begin(self) -> None:
        """Begin: the session has been entered."""

    def check(self) -> None:
        """Check, at the end of training, that all of it was seen."""

    def end(self) -> None:
        """Leave the user's objects alone from now on."""

    def settle(self) -> None:
        """Take in what the session has left behind."""

    @property
    def model(self) -> npt.NDArray[np.float32]:
        """A copy of the node's model, shape ``[d]``."""

    @property
    def rest(self) -> Mapping[str, npt.NDArray[np.generic]]:
        """The arrays that do not travel."""


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

    Attributes
    ----------
    plan : Plan
        As given.
    before : NodeRecord
        What the node remembers from before this session.
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
        self.plan, self.before = plan, record
        self._node_id = node_id
        self._states, self._keeper = states, keeper
        self._identity, self._listen = identity, listen
        self._training: Training | None = None
        self._session: Session | None = None
        self._finished = False

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
        if self._training is None:
            return
        self._training.end()
        if self._session is not None:
            self._session.__exit__(kind, error, trace)
        self._training.settle()
        if self._session is not None and error is None:
            self._session.check()  # the last steps may have been looked at only now

    @property
    def attached(self) -> bool:
        """Whether the train handler has attached its model."""
        return self._training is not None

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Share a model in training with the streams, and wait until the neighbors are there.

        The session begins only here, not with the handler: a stream must not wait at a node that
        still loads its data, and nodes that are linked are ready to train together.

        Raises
        ------
        ConfigError
            A second call, another model than the broker's, or one that is not loaded.
        """
        from flwr_digest.clients.attached import AttachedTraining  # needs torch; the rest does not

        self._check_first("attach()")
        self.share(AttachedTraining(model, optimizer, self.before))

    def share(self, training: Training) -> None:
        """Share a training that tells of its steps, and wait until the neighbors are there.

        Raises
        ------
        ConfigError
            This handler shares one already.
        """
        self._check_first("digest_session()")
        self._begin(training, self.plan, JOIN_SECONDS)

    def _check_first(self, call: str) -> None:
        if isinstance(self._training, CalledTraining):
            raise ConfigError(
                f"the train handler calls {call} now, but did not the first time: call it always"
            )
        if self._training is not None:
            raise ConfigError(
                f"{call} was called twice in one train handler, or beside another way to share its "
                "training; call it once"
            )

    def share_calls(self, training: CalledTraining) -> None:
        """Share a train handler that was called once, and wait until the neighbors are there.

        Raises
        ------
        ConfigError
            The plan is one with drift correction.
        """
        if self.plan.drift_correction:
            raise ConfigError(NEEDS_ATTACH)
        left = training.seconds_left
        patience = min(left, max(JOIN_SECONDS, SLOWER * training.seconds))
        self._begin(training, replace(self.plan, session_seconds=left), patience)

    def _begin(self, training: Training, plan: Plan, join_seconds: float) -> None:
        """Enter the session with this training."""
        session = Session(
            node_id=self._node_id,
            plan=plan,
            layout=self.before.layout,
            identity=self._identity,
            listen=self._listen,
            states=self._states,
            trainer=training.trainer,
            keeper=self._keeper,
        )
        session.__enter__()
        self._training, self._session = training, session
        training.begin()
        session.await_neighbors(join_seconds)

    def finish(self) -> None:
        """End this node's training and stay until the session is over; a second time do nothing.

        Raises
        ------
        ConfigError
            The handler moved the model's tensors after `attach`.
        DigestError
            The overlay has failed.
        """
        if self._training is None or self._session is None or self._finished:
            return  # the handler has answered with an error before it trained, or ended by itself
        self._finished = True
        self._training.check()
        self._session.finish_training()
        self._session.check()

    @property
    def record(self) -> NodeRecord:
        """What the node remembers from now on. Read it after leaving."""
        if self._training is None:
            return replace(self.before, states=self._final_states)
        rest = self._training.rest
        after = replace(self.before, states=self._final_states, rest=rest)
        model = self._training.model
        # Training that has diverged is forgotten, here as in the streams.
        return replace(after, model=model if all_finite(model) else streams_model(after))

    @property
    def _final_states(self) -> Mapping[StreamId, StationState]:
        return self._states if self._session is None else self._session.final_states

    def keep(self) -> None:
        """Save where there is no room for a new file: in that of the session, after leaving."""
        self._keeper.keep_all(self._final_states)

    @property
    def report(self) -> SessionReport | None:
        """The session in figures; None where there was none."""
        return None if self._session is None else self._session.report()
