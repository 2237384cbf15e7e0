"""Where each stream starts: on different nodes, as far as there are enough."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from flwr_digest.errors import ConfigError
from flwr_digest.topology.seeded import Purpose, generator


def start_nodes(members: Sequence[frozenset[int]], seed: int) -> tuple[int, ...]:
    """Return for each stream the member it starts at, with as even a load as there can be.

    One stream after the other takes the least loaded node that it can have, where need be by
    moving earlier ones to other members of theirs. No other choice has a lower largest load, nor
    a lower sum of squared loads (Harvey, Ladner, Lovász and Tamir 2006, "Semi-matchings for
    bipartite graphs and load balancing").

    Parameters
    ----------
    members : sequence of frozenset of int
        For each stream the nodes that it visits, at least one.
    seed : int
        Decides between equally loaded nodes.

    Raises
    ------
    ConfigError
        A stream has no members.
    """
    for stream, near in enumerate(members):
        if not near:
            raise ConfigError(f"stream {stream} has no members to start at")
    nodes = sorted(frozenset().union(*members))
    order = generator(seed, Purpose.STARTS).permutation(len(nodes))
    placed: dict[int, set[int]] = {nodes[place]: set() for place in order}
    rank = {node: place for place, node in enumerate(placed)}
    ranked = [sorted(near, key=rank.__getitem__) for near in members]
    starts: dict[int, int] = {}
    for stream in range(len(members)):
        _place(stream, ranked, placed, starts)
    return tuple(starts[stream] for stream in range(len(members)))


def _place(
    stream: int,
    members: Sequence[Sequence[int]],
    placed: Mapping[int, set[int]],
    starts: dict[int, int],
) -> None:
    """Let `stream` start at the least loaded node it can have; change `placed` and `starts`."""
    came_by = _nodes_within_reach(stream, members, placed)
    node = min(came_by, key=lambda node: len(placed[node]))
    while True:
        mover = came_by[node]
        before = starts.get(mover)
        starts[mover] = node
        placed[node].add(mover)
        if before is None:
            return
        placed[before].remove(mover)
        node = before


def _nodes_within_reach(
    stream: int, members: Sequence[Sequence[int]], placed: Mapping[int, set[int]]
) -> dict[int, int]:
    """Return the nodes that can take one more start so that `stream` finds a place, nearest first.

    With each node comes the stream that would move there: `stream` itself, or one that makes room.
    """
    fewest = min(map(len, placed.values()))
    came_by: dict[int, int] = {}
    movers = deque([stream])
    while movers:
        mover = movers.popleft()
        for node in members[mover]:
            if node not in came_by:
                came_by[node] = mover
                if len(placed[node]) == fewest:
                    return came_by
                movers.extend(sorted(placed[node]))
    return came_by
