"""Cuts a tree into a given number of parts that share nodes, but no link, and are about as large.

To make the largest part as small as can be is bin packing, so this is a heuristic: from the
leaves up, at each node the parts that come from below are packed into as few as a cap allows, and
the smallest goes on towards the root. The cap is raised until there are few enough parts, and
then the largest are cut in two until there are as many as asked for. Each pass takes time in
proportion to the number of nodes times, at worst, the parts that meet in one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

Tree = dict[int, int]
"""Each node but the root with its parent, parents before their children. One entry is one link."""


def cut(tree: Tree, count: int) -> list[Tree]:
    """Return `count` parts of the tree, each with a link or more, that have all links between them.

    Parameters
    ----------
    tree : Tree
        What to cut.
    count : int
        From 1 to the number of links.
    """
    cap = -(-len(tree) // count)
    while len(parts := _parts_up_to(cap, tree)) > count:
        cap += 1
    while len(parts) < count:
        parts.sort(key=len)
        parts += cut(parts.pop(), 2)
    return parts


def _parts_up_to(cap: int, tree: Tree) -> list[Tree]:
    """Cut the tree into parts of at most `cap` links, and as few as the heuristic finds."""
    coming: defaultdict[int, list[list[int]]] = defaultdict(list)
    done: list[list[int]] = []
    for node in reversed(tree):
        packed = _pack(coming.pop(node, []), cap)
        rest = packed.pop() if packed and len(packed[-1]) < cap else []
        done += packed
        coming[tree[node]].append([*rest, node])
    for at_root in coming.values():
        done += _pack(at_root, cap)
    return [{node: tree[node] for node in reversed(part)} for part in done]


def _pack(items: Sequence[list[int]], cap: int) -> list[list[int]]:
    """Put the items into bins, the largest first and each where it fits best; fullest bin first."""
    bins: list[list[int]] = []
    for item in sorted(items, key=len, reverse=True):
        fitting = [room for room in bins if len(room) + len(item) <= cap]
        if fitting:
            max(fitting, key=len).extend(item)
        else:
            bins.append(list(item))
    return sorted(bins, key=len, reverse=True)
