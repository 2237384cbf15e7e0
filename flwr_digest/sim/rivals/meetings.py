"""When AD-PSGD's nodes finish their steps and meet: all of it known before a gradient is."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from flwr_digest.learning.arrays import Doubles
from flwr_digest.learning.seeds import Purpose, generator
from flwr_digest.sim.rivals.clock import Clock
from flwr_digest.sim.rivals.post import Post

if TYPE_CHECKING:
    from flwr_digest.sim.problem import Problem

_AHEAD_STEPS = 256
"""Step times that are looked up at once; only speed depends on it."""

Event = tuple[float, int, int]
"""When, which node, and whom it averages with; -1 for the end of a local step."""


class Meetings:
    """The order of all steps and averagings.

    A node that has made its local steps asks a neighbor, drawn at random from those whose link is
    up, and goes on with its steps. Both models are sent at the same time over the two directions
    of the link; when both have arrived, both nodes take the average of what they have by then. A
    node has one request of its own under way at a time, and may be asked by any number of others.

    Parameters
    ----------
    problem : Problem
        Whose step times, links and seed count.
    post : Post
        The links.
    local_steps : int
        A node asks after every so many steps, if its last request is done.
    """

    def __init__(self, problem: Problem, post: Post, local_steps: int) -> None:
        self._post = post
        self._size_bytes = problem.model_bytes
        self._local_steps = local_steps
        self._peers = [sorted(problem.neighbors[node]) for node in range(problem.nodes)]
        self._draws = [generator(problem.seed, Purpose.METHOD, v) for v in range(problem.nodes)]
        clock = Clock(problem)
        self._steps = [_Steps(clock, node) for node in range(problem.nodes)]
        self._told = [0] * problem.nodes  # how many steps `until` has returned
        self._averagings: list[Event] = []
        self._requests: list[tuple[float, int, int]] = []
        for node, peers in enumerate(self._peers):
            if peers:
                self._plan_request(node, after=0.0)

    def until(self, time: float) -> list[Event]:
        """Return what happens up to a time and was not yet returned, in order."""
        while self._requests and self._requests[0][0] <= time:
            self._request(*heappop(self._requests)[:2])
        events: list[Event] = []
        while self._averagings and self._averagings[0][0] <= time:
            events.append(heappop(self._averagings))
        for node, steps in enumerate(self._steps):
            finishes = steps.between(self._told[node], time)
            self._told[node] += len(finishes)
            events.extend((finish, node, -1) for finish in finishes.tolist())
        return sorted(events)

    def _request(self, at: float, node: int) -> None:
        """Let a node ask a neighbor."""
        up = [peer for peer in self._peers[node] if self._post.is_up(node, peer, at)]
        if not up:
            self._plan_request(node, after=at)
            return
        peer = up[int(self._draws[node].integers(len(up)))]
        there = self._post.send(node, peer, self._size_bytes, at)
        back = self._post.send(peer, node, self._size_bytes, at)
        met = max(there, back)
        heappush(self._averagings, (met, node, peer))
        self._plan_request(node, after=met)

    def _plan_request(self, node: int, after: float) -> None:
        """Let a node ask after a time, when it has made a whole multiple of its local steps."""
        made = self._steps[node].count_by(after) + 1
        made = -(-made // self._local_steps) * self._local_steps
        heappush(self._requests, (self._steps[node].finish(made), node, made))


class _Steps:
    """When one node ends its steps, looked up as far as needed."""

    def __init__(self, clock: Clock, node: int) -> None:
        self._clock = clock
        self._node = node
        self._finishes: Doubles = np.zeros(0)

    def finish(self, number: int) -> float:
        """Return when the node has made so many steps, 1 or more."""
        while len(self._finishes) < number:
            self._look_ahead()
        return float(self._finishes[number - 1])

    def count_by(self, time: float) -> int:
        """Return how many steps the node has made by a time."""
        while not len(self._finishes) or self._finishes[-1] <= time:
            self._look_ahead()
        return int(np.searchsorted(self._finishes, time, side="right"))

    def between(self, made: int, time: float) -> Doubles:
        """Return when the steps after the first `made` end, up to a time."""
        return self._finishes[made : self.count_by(time)]

    def _look_ahead(self) -> None:
        made = len(self._finishes)
        start = float(self._finishes[-1]) if made else 0.0
        more = self._clock.finishes(self._node, start, made, _AHEAD_STEPS)
        self._finishes = np.concatenate([self._finishes, more])


@dataclass(frozen=True, kw_only=True, slots=True)
class Wave:
    """What can be computed at once, as no node is in it twice.

    Attributes
    ----------
    steppers : list of int
        Nodes that end a local step.
    times : list of float
        When each of them does.
    pairs : list of (int, int)
        Nodes that average.
    """

    steppers: list[int]
    times: list[float]
    pairs: list[tuple[int, int]]


def in_waves(events: list[Event], nodes: int) -> list[Wave]:
    """Sort events into waves that give the same models as one event after another.

    Each event comes into the first wave after those of all that its nodes did before.
    """
    waves: list[Wave] = []
    reached = [0] * nodes  # how many waves have passed for each node
    for time, node, peer in events:
        number = reached[node] if peer < 0 else max(reached[node], reached[peer])
        if number == len(waves):
            waves.append(Wave(steppers=[], times=[], pairs=[]))
        reached[node] = number + 1
        if peer < 0:
            waves[number].steppers.append(node)
            waves[number].times.append(time)
        else:
            reached[peer] = number + 1
            waves[number].pairs.append((node, peer))
    return waves
