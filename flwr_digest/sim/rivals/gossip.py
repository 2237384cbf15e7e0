"""Exchanges with all neighbors: a node goes on when it has all their messages of the round."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flwr_digest.learning.arrays import Doubles
from flwr_digest.sim.rivals.post import Post


class Gossip:
    """Each node sends the same message to all its neighbors, once a round.

    Parameters
    ----------
    post : Post
        The links.
    neighbors : mapping of int to frozenset of int
        Who waits for whom; symmetric.
    size_bytes : int
        Of one message.
    overlaps : bool
        Whether messages leave when the local steps begin, and not when they end.
    """

    def __init__(
        self,
        post: Post,
        neighbors: Mapping[int, frozenset[int]],
        size_bytes: int,
        *,
        overlaps: bool = False,
    ) -> None:
        self._post = post
        self._neighbors = {node: sorted(neighbors[node]) for node in sorted(neighbors)}
        self._size_bytes = size_bytes
        self._overlaps = overlaps

    def __call__(self, starts: Doubles, ends: Doubles) -> Doubles:
        """Send a round's messages; return when each node can start its next round, ``[N]``."""
        ready = starts if self._overlaps else ends
        following = ends.copy()
        for node in np.argsort(ready, kind="stable").tolist():
            for peer in self._neighbors[node]:
                arrival = self._post.send(node, peer, self._size_bytes, ready[node])
                following[peer] = max(following[peer], arrival)
        return following

    def bytes_by(self, time: float) -> int:
        """Return what was sent by a time; times must not go back."""
        return self._post.bytes_by(time)
