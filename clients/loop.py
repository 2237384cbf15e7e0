"""What all sessions have in common: how long they go on, how they begin and end, and the reply."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict

from flwr_digest.clients.calls import LAST_SHARE
from flwr_digest.clients.participation import Participation, Training
from flwr_digest.core.plan import Plan
from flwr_digest.errors import ConfigError

LOGGER = logging.getLogger("flwr.digest")


class Loop:
    """One round's training loop: how many steps were made, and whether there is time for more.

    Parameters
    ----------
    message : Message
        That the train handler got.
    key : str
        Under which name it brought the model.
    steps : int
        How many steps the client wants to make.
    plan : Plan or None
        Of the session; it may say how many steps instead, and how long. None outside a DIGEST run.
    """

    def __init__(self, *, message: Message, key: str, steps: int, plan: Plan | None) -> None:
        self.message, self.key = message, key
        self.budget = steps if plan is None or plan.steps is None else plan.steps
        self.drift_correction = plan is not None and plan.drift_correction
        self.steps = 0
        self.longest_seconds = 0.0
        self._whole_seconds = None if plan is None else plan.session_seconds
        self._began = self._last = time.monotonic()
        self._out_of_time = False

    def begin(self) -> None:
        """Begin to count the time."""
        self._began = self._last = time.monotonic()

    def resume(self) -> None:
        """Note that the next local steps begin now: what came before is none of their time."""
        self._last = time.monotonic()

    def made(self, steps: int) -> None:
        """Count local steps."""
        self.steps += steps
        now = time.monotonic()
        self.longest_seconds = max(self.longest_seconds, now - self._last)
        self._last = now

    @property
    def going_on(self) -> bool:
        """Whether there are steps left, and time for what the longest report so far took."""
        if self.steps >= self.budget:
            return False
        if self._whole_seconds is None:
            return True
        end = time.monotonic() - self._began + self.longest_seconds
        if end <= (1 - LAST_SHARE) * self._whole_seconds:
            return True
        if not self._out_of_time:
            LOGGER.warning(
                "time for %d of %d local steps (session_seconds=%g): this node trains no more in "
                "this round",
                self.steps, self.budget, self._whole_seconds,
            )  # fmt: skip
        self._out_of_time = True
        return False


class DigestSession:
    """A train handler's part in a DIGEST run, or outside one just its loop.

    Made by `digest_session`.
    """

    def __init__(self, loop: Loop, participation: Participation | None) -> None:
        self._loop = loop
        self._participation = participation
        self._open = False

    # --- for the user ---------------------------------------------------------------------------

    @property
    def going_on(self) -> bool:
        """Whether to make more steps: until the round's steps are made, or its time is up.

        The last tenth of the round's time is for the last tour.
        """
        return self._loop.going_on

    @property
    def steps(self) -> int:
        """How many local steps were made so far."""
        return self._loop.steps

    @property
    def drift_correction(self) -> bool:
        """Whether gradients are to be corrected; False outside a DIGEST run."""
        return self._loop.drift_correction

    def reply(self, metrics: Mapping[str, int | float | list[int] | list[float]]) -> Message:
        """Return the handler's reply: with these metrics, and with the model where it is wanted.

        FedAvg wants the model, and ``num-examples`` among the metrics. In a DIGEST run there is
        no model in the reply.
        """
        content = RecordDict({"metrics": MetricRecord(dict(metrics))})
        if self._participation is None:
            content[self._loop.key] = self._arrays()
        return Message(content, reply_to=self._loop.message)

    def __enter__(self) -> Self:
        self._loop.begin()
        if self._participation is not None:
            self._participation.share(self._training())  # may wait for neighbors
            self._loop.resume()
        self._open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open = False
        if self._participation is not None and error is None:
            self._participation.finish()
            self._settled()

    # --- for the kinds of sessions ----------------------------------------------------------------

    def _training(self) -> Training:
        raise NotImplementedError

    def _settled(self) -> None:
        """Take in what the last tour has brought."""

    def _arrays(self) -> ArrayRecord:
        """Return the model as FedAvg wants it."""
        raise NotImplementedError

    def _check_report(self, steps: object) -> None:
        if not self._open:
            raise ConfigError(
                "steps are made between entering a digest_session and leaving it: use it in a "
                "with statement, and report each step inside"
            )
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ConfigError(f"stepped(steps={steps!r}): it must be a whole number, 1 or more")
