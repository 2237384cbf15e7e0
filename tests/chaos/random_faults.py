"""Random schedules of faults: the same seed, the same schedule."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from tests.chaos.faults import (
    Cut,
    Fault,
    FillDisk,
    Freeze,
    Join,
    Kill,
    Leave,
    Link,
    Lose,
    Part,
    Restart,
    Schedule,
    Slow,
)

PURPOSE = 0x00C4A05
CALM = 0.75  # of the time; from then on nothing is broken any more, so that the end can be judged
LONGEST = 0.2  # of the time, that a fault may last


def random_schedule(
    seed: int, nodes: int, links: Collection[Link], seconds: float, count: int
) -> Schedule:
    """Return `count` faults of a session of so many seconds, and what undoes them.

    At most one node joins late and at most one leaves early; a node that is down or frozen has no
    other fault meanwhile. A kill comes with its restart, with or without state.
    """
    return _Drawn(seed, nodes, sorted(links), seconds).schedule(count)


class _Drawn:
    """Draws faults, one after the other."""

    def __init__(self, seed: int, nodes: int, links: list[Link], seconds: float) -> None:
        self._rng = np.random.default_rng([PURPOSE, seed])
        self._nodes, self._links, self._seconds = nodes, links, seconds
        self._busy: dict[int, list[tuple[float, float]]] = {}
        self._faults: list[Fault] = []

    def schedule(self, count: int) -> Schedule:
        makers: list[Callable[[float, float], None]] = [
            self._kill, self._kill, self._freeze, self._slow, self._cut, self._part, self._lose,
            self._fill_disk,
        ]  # fmt: skip
        # Those two have nodes for themselves: whoever is not there can have no other fault.
        if self._rng.random() < 1 / 2:
            self._join()
        if self._rng.random() < 1 / 2:
            self._leave()
        for _ in range(count):
            start = self._rng.uniform(0, CALM - LONGEST) * self._seconds
            length = self._rng.uniform(0.01, LONGEST) * self._seconds
            makers[self._rng.integers(len(makers))](start, length)
        return tuple(sorted(self._faults, key=lambda fault: fault.at))

    def _free_node(self, start: float, end: float) -> int | None:
        """Return a node that has no fault meanwhile, and note that it has one now."""
        for node in map(int, self._rng.permutation(self._nodes)):
            spans = self._busy.setdefault(node, [])
            if all(end < begun or ended < start for begun, ended in spans):
                spans.append((start, end))
                return node
        return None

    def _some_link(self) -> Link:
        return self._links[self._rng.integers(len(self._links))]

    def _join(self) -> None:
        at = self._rng.uniform(0.05, CALM / 2) * self._seconds
        if (node := self._free_node(0.0, self._seconds)) is not None:
            self._faults.append(Join(at=at, node=node))

    def _leave(self) -> None:
        at = self._rng.uniform(CALM / 2, CALM) * self._seconds
        if (node := self._free_node(0.0, self._seconds)) is not None:
            self._faults.append(Leave(at=at, node=node))

    def _kill(self, start: float, length: float) -> None:
        if (node := self._free_node(start, start + length)) is not None:
            with_state = bool(self._rng.random() < 2 / 3)
            self._faults.append(Kill(at=start, node=node))
            self._faults.append(Restart(at=start + length, node=node, with_state=with_state))

    def _freeze(self, start: float, length: float) -> None:
        if (node := self._free_node(start, start + length)) is not None:
            self._faults.append(Freeze(at=start, node=node, seconds=length))

    def _slow(self, start: float, length: float) -> None:
        if (node := self._free_node(start, start + length)) is not None:
            factor = float(self._rng.choice([3.0, 10.0, 100.0]))
            self._faults.append(Slow(at=start, node=node, factor=factor, seconds=length))

    def _fill_disk(self, start: float, length: float) -> None:
        if (node := self._free_node(start, start + length)) is not None:
            self._faults.append(FillDisk(at=start, node=node, seconds=length))

    def _cut(self, start: float, length: float) -> None:
        self._faults.append(Cut(at=start, link=self._some_link(), seconds=length))

    def _part(self, start: float, length: float) -> None:
        size = int(self._rng.integers(1, max(2, self._nodes // 2 + 1)))
        nodes = frozenset(map(int, self._rng.permutation(self._nodes)[:size]))
        self._faults.append(Part(at=start, nodes=nodes, seconds=length))

    def _lose(self, start: float, length: float) -> None:
        share = float(self._rng.uniform(0.05, 0.9))
        fault = Lose(at=start, link=self._some_link(), share=share, seconds=length)
        self._faults.append(fault)
