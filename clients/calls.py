"""Training by calls: the train handler, unchanged and of any framework, called again and again.

A call is one chunk of local steps. It gets the node's freshest model, as FedAvg would send it; what
it has made of it goes to the streams when it returns.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from flwr.app import ArrayRecord, Message

from flwr_digest.clients.record import NodeRecord, to_arrays
from flwr_digest.clients.returned import returned_by
from flwr_digest.core.plan import Plan
from flwr_digest.learning.calls import CallHandoff

if TYPE_CHECKING:
    from flwr_digest.clients.participation import Participation

LOGGER = logging.getLogger("flwr.digest")

Call = Callable[[ArrayRecord], Message]

# A guess: the last tour and what is in flight take at most as long as a tenth of the training.
LAST_SHARE = 0.1
# Between two calls, a visit that is about to end is waited for: at most this share of a call.
PATIENCE_SHARE = 0.05


class CalledTraining:
    """A train handler that is called as often as the plan says, within the plan's time.

    Parameters
    ----------
    plan : Plan
        Says how often, and how long.
    record : NodeRecord
        What the node remembers of the run.
    call : callable
        Calls the handler with arrays; returns its reply.
    key : str
        Under which name the handler gets its arrays.
    """

    def __init__(self, *, plan: Plan, record: NodeRecord, call: Call, key: str) -> None:
        self._plan, self._record, self._call, self._key = plan, record, call, key
        self._rest = record.rest
        self._first: npt.NDArray[np.float32] | None = None
        self._began = time.monotonic()
        self._longest_seconds = 0.0
        self.calls = 0

    @cached_property
    def trainer(self) -> CallHandoff:
        """Meets the overlay. Made when it is needed: a handler that attaches has its own."""
        return CallHandoff(self._record.layout, self._record.model, self._plan.steps_per_call)

    def call_once(self) -> Message:
        """Call the handler for the first time: it may attach its model, and so train otherwise."""
        return self._call_with(self._record.model)

    def accept(self, answer: Message) -> None:
        """Keep what the first call has trained until the session begins.

        Raises
        ------
        ConfigError
            It has returned other arrays than it got.
        """
        self._first = self._displacement(answer, self._record.model)

    def call_on(self, answer: Message) -> Message:
        """Make the calls that are left, within the session; return the last reply.

        A handler that answers with an error is not called again.
        """
        while self.calls < self._plan.calls and not answer.has_error():
            if not self._in_time():
                LOGGER.warning(
                    "time for %d of %d calls of the train handler (session_seconds=%g): this node "
                    "trains no more in this round",
                    self.calls, self._plan.calls, self._plan.session_seconds,
                )  # fmt: skip
                break
            given = self.trainer.model(PATIENCE_SHARE * self._longest_seconds)
            answer = self._call_with(given)
            if not answer.has_error():
                self.trainer.commit(self._displacement(answer, given))
        return answer

    @property
    def seconds(self) -> float:
        """How long the training has taken so far."""
        return time.monotonic() - self._began

    @property
    def seconds_left(self) -> float:
        """How long the session may take: what the calls so far have left, or for a last tour."""
        whole = self._plan.session_seconds
        return max(whole - self.seconds, LAST_SHARE * whole)

    # --- what Participation needs of a training ---------------------------------------------------

    def begin(self) -> None:
        """Hand in what the first call has trained; the session has been entered."""
        if self._first is not None:
            self.trainer.commit(self._first)
            self._first = None

    def check(self) -> None:
        """Check nothing: each call was checked."""

    def end(self) -> None:
        """Leave nothing behind in the handler: it was only called."""

    def settle(self) -> None:
        """Take in nothing: the streams' news is taken in as it comes."""

    @property
    def model(self) -> npt.NDArray[np.float32]:
        """A copy of the node's model, shape ``[d]``."""
        return self.trainer.model()

    @property
    def rest(self) -> Mapping[str, npt.NDArray[np.generic]]:
        """The arrays that do not travel: as the last call returned them."""
        return self._rest

    # --- inner workings ---------------------------------------------------------------------------

    def _call_with(self, model: npt.NDArray[np.float32]) -> Message:
        began = time.monotonic()
        answer = self._call(to_arrays(replace(self._record, rest=self._rest), model))
        self._longest_seconds = max(self._longest_seconds, time.monotonic() - began)
        self.calls += 1
        return answer

    def _displacement(
        self, answer: Message, given: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        returned = returned_by(answer.content, self._record, self._key)
        self._rest = returned.rest
        return returned.model - given

    def _in_time(self) -> bool:
        whole = self._plan.session_seconds
        return self.seconds + self._longest_seconds <= (1 - LAST_SHARE) * whole


def train_in_session(participation: Participation, training: CalledTraining) -> Message:
    """Run the user's train handler within a session; return its (last) reply.

    The first call shows whether it attaches its model. If not, the session begins after that call:
    its neighbors are then as far, with data and libraries loaded, as with `attach`.

    Raises
    ------
    DigestError
        This node cannot go on; see `Participation`.
    """
    answer = training.call_once()
    if participation.attached or answer.has_error():
        return answer
    training.accept(answer)
    participation.share_calls(training)
    return training.call_on(answer)
