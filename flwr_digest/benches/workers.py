"""Processes, and how they are told what to do."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Protocol

from flwr_digest.benches.ends import PATIENCE_SECONDS
from flwr_digest.errors import DigestError

STOP_SECONDS = 5.0
"""A guess: for a process to close its sockets."""

START_SECONDS = 60.0
"""A guess: for a process to load gRPC on a busy machine; it takes one on an idle one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What a process is told to do: a word that its servant knows, and a number."""

    what: str
    number: float = 0


class Servant(Protocol):
    """What a process does when it is told to."""

    def obey(self, order: Order) -> object:
        """Carry out an order and return what is to be answered; `DigestError` where it fails."""

    def close(self) -> None:
        """End all threads and sockets."""


MakeServant = Callable[[], Servant]


def serve(make: MakeServant, orders: Connection) -> None:
    """Obey orders until there are no more: the main function of a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the parent acts
    with suppress(EOFError, BrokenPipeError):  # the conductor is gone
        try:
            servant = make()
        except (DigestError, OSError) as error:
            orders.send(DigestError(str(error)))
            return
        try:
            orders.send(None)
            while (order := orders.recv()) is not None:
                orders.send(_answer(servant, order))
        finally:
            servant.close()


def _answer(servant: Servant, order: Order) -> object:
    """Return what came of an order; an error is an answer, for the conductor to raise."""
    try:
        return servant.obey(order)
    except (DigestError, OSError) as error:
        return DigestError(str(error))


class Worker:
    """A process with a servant. Use as a context manager: leaving it ends the process."""

    def __init__(self, name: str, make: MakeServant) -> None:
        context = multiprocessing.get_context("spawn")  # a fork may copy locks that threads hold
        self._name = name
        self._orders, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(make, theirs), name=name, daemon=True)
        self._process.start()
        theirs.close()  # else the end of the process would not be seen
        try:
            self._answer(START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def do(self, what: str, number: float = 0, seconds: float = PATIENCE_SECONDS) -> Any:  # noqa: ANN401 - as the order
        """Give an order and return what came of it, in `seconds` at most.

        Raises
        ------
        DigestError
            It failed, or the process died or hangs.
        """
        self._orders.send(Order(what=what, number=number))
        return self._answer(seconds)

    def _answer(self, seconds: float) -> Any:  # noqa: ANN401 - as the order
        try:
            if not self._orders.poll(seconds):
                raise DigestError(f"{self._name}: no answer in {seconds:g} s")
            found = self._orders.recv()
        except (EOFError, OSError) as error:
            raise DigestError(f"{self._name}: the process died") from error
        if isinstance(found, DigestError):
            raise DigestError(f"{self._name}: {found}") from found
        return found

    def stop(self) -> None:
        """End the process, in peace if it can."""
        with suppress(OSError):
            self._orders.send(None)
        self._process.join(STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._orders.close()
