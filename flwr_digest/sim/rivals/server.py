"""A server in the middle: all nodes send it what they have, and it hands out what it makes of it.

`ideal` is a server that no one has: any number of transfers at once, each as long as over a link
between nodes, and nothing is ever lost or down. `as-node` has one access link like any node's link:
its transfers queue, one after another in each direction, and it suffers losses, outages and
absences as the nodes do. On its side: a message that must be repeated holds up none behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flwr_digest.learning.arrays import Doubles
from flwr_digest.sim.network import Network
from flwr_digest.sim.rivals.post import Post

if TYPE_CHECKING:
    from flwr_digest.sim.problem import Problem


class Server:
    """The exchange of methods with a server: a round ends when the server has heard all nodes.

    All nodes start with the same model, so the first round needs no download.

    Parameters
    ----------
    problem : Problem
        Whose nodes, link speeds and faults count.
    kind : str
        `ideal` or `as-node`.
    size_bytes : int
        Of one message, in either direction.
    """

    def __init__(self, problem: Problem, kind: str, size_bytes: int) -> None:
        self._slot_seconds = size_bytes / problem.bandwidth_bytes_per_second
        self._queues = kind == "as-node"
        self._post = Post(_star(problem) if self._queues else problem.network(ideal=True))
        self._server = problem.nodes
        self._size_bytes = size_bytes

    def __call__(self, starts: Doubles, ends: Doubles) -> Doubles:
        """Collect from all nodes, then hand out; return when each can start its next round."""
        collected = self._transfer(ends, to_server=True)
        return self._transfer(np.full_like(ends, collected.max()), to_server=False)

    def bytes_by(self, time: float) -> int:
        """Return what was sent by a time; times must not go back."""
        return self._post.bytes_by(time)

    def _transfer(self, ready: Doubles, *, to_server: bool) -> Doubles:
        """Send one message for each node; return when each arrives, ``[N]``."""
        arrivals = np.empty_like(ready)
        free = 0.0
        for node in np.argsort(ready, kind="stable").tolist():
            sender, receiver = (node, self._server) if to_server else (self._server, node)
            at = max(free, float(ready[node])) if self._queues else float(ready[node])
            arrivals[node] = self._post.send(sender, receiver, self._size_bytes, at)
            free = at + self._slot_seconds
        return arrivals


def _star(problem: Problem) -> Network:
    """Return links between the server and all nodes that fail as the nodes' own do."""
    scenario = problem.scenario
    return Network(
        None,
        bandwidth_bytes_per_second=problem.bandwidth_bytes_per_second,
        latency_seconds=scenario.latency_seconds,
        loss=scenario.loss,
        outages=scenario.outages,
        absences=(*scenario.absences, *scenario.freezes),
        seed=problem.seed,
    )
