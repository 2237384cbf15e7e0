"""How old the news in a stream is: what the gate between contributions goes by.

Between regions news takes several tours. A node that contributes at every visit pushes the same
correction again and again before it sees its effect: a delayed feedback, which diverges, even on
iid data (measured). So a node contributes no more often than news travels. Its age needs no guess:
each visit says by the stream's clock when what it brought was news.
"""

from __future__ import annotations

from typing import NamedTuple

from flwr_digest.core.ids import NodeId
from flwr_digest.core.stream import Stream


class News(NamedTuple):
    """How old the news of some nodes is, on the average."""

    nodes: int
    born_seconds: float

    def joined(self, other: News) -> News:
        """Return the news of both groups of nodes together."""
        nodes = self.nodes + other.nodes
        if nodes == 0:
            return self
        born = self.nodes * self.born_seconds + other.nodes * other.born_seconds
        return News(nodes, born / nodes)


NO_NEWS = News(0, 0.0)


def news_of_others(stream: Stream, node: NodeId, offset_seconds: float) -> News:
    """Return what the stream knows of all nodes but `node`.

    `offset_seconds` is what the driver's clock shows less what the stream's does.
    """
    nodes, total = 0, 0.0
    for other, visit in stream.visits.items():
        if other != node:
            nodes += visit.behind
            total += visit.behind * visit.born_seconds
    return News(nodes, total / nodes + offset_seconds) if nodes else NO_NEWS
