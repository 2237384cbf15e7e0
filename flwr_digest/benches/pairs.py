"""Both ends of a way as processes that hop when told to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from flwr_digest.benches.ends import PATIENCE_SECONDS, MakeEnd, Meeting, Way
from flwr_digest.benches.measures import cpu_seconds, peak_bytes, reset_peak
from flwr_digest.benches.workers import Order, Worker
from flwr_digest.launch.ports import LOOPBACK, free_ports
from flwr_digest.overlay.identity import Identity


class HopServant:
    """One end of a way."""

    def __init__(self, make: MakeEnd, meeting: Meeting) -> None:
        self._end = make(meeting)

    def obey(self, order: Order) -> object:
        """Prepare, hop, or tell what that took."""
        match order.what:
            case "prepare":
                self._end.prepare(int(order.number))
                return None
            case "hops":
                return [_seconds(self._end.hop) for _ in range(int(order.number))]
            case "reset peak":
                return reset_peak()
            case "peak":
                return peak_bytes()
            case _:
                return cpu_seconds()

    def close(self) -> None:
        """End its threads and sockets."""
        self._end.close()


def _seconds(act: Callable[[], None]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """Some hops in a row: the seconds of each, and processor time of both ends for all."""

    seconds: Sequence[float]
    cpu_seconds: float


class Pair:
    """Both ends of a way. Use as a context manager: leaving it ends both processes.

    Parameters
    ----------
    way : Way
        Which way.
    sizes : tuple of int
        How many float32 values the models have that will be sent.
    identities : tuple of Identity
        Of the sending and the receiving end, used where the way is secure.

    Raises
    ------
    DigestError
        From every method: an end failed, died or hangs.
    """

    def __init__(
        self, way: Way, sizes: tuple[int, ...], identities: tuple[Identity, Identity]
    ) -> None:
        self.way = way
        self._sizes = sizes
        self._identities = identities if way.secure else None
        self._ends: list[Worker] = []

    def __enter__(self) -> Pair:
        (port,) = free_ports(1)
        meeting = Meeting(
            address=f"{LOOPBACK}:{port}", sizes=self._sizes, identities=self._identities
        )
        try:
            for make, name in ((self.way.receive, "receiver"), (self.way.send, "sender")):
                servant = partial(HopServant, make, meeting)
                self._ends.append(Worker(f"{self.way.name}, {name}", servant))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End both processes, the one that sends first."""
        while self._ends:
            self._ends.pop().stop()

    def prepare(self, values: int) -> None:
        """Get both ends ready for models of so many values."""
        for end in self._ends:
            end.do("prepare", values)

    def turn(self, count: int) -> Turn:
        """Make some calls of `hop`."""
        before = self._cpu_seconds()
        seconds = self._ends[-1].do("hops", count, count * PATIENCE_SECONDS)
        return Turn(
            seconds=[each / self.way.hops for each in seconds],
            cpu_seconds=self._cpu_seconds() - before,
        )

    def peaks(self) -> tuple[int, int] | None:
        """Make one call; return by how many bytes the memory of receiver and sender grew at most.

        None where the system does not tell.
        """
        before = [end.do("reset peak") for end in self._ends]
        self._ends[-1].do("hops", 1)
        receiver, sender = (
            None if peak is None or first is None else peak - first
            for peak, first in zip([end.do("peak") for end in self._ends], before, strict=True)
        )
        return None if receiver is None or sender is None else (receiver, sender)

    def _cpu_seconds(self) -> float:
        return sum(float(end.do("cpu")) for end in self._ends)
