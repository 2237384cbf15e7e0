"""Follows the journals of all processes while they are written."""

from __future__ import annotations

from pathlib import Path
from threading import Event

from tests.chaos.journal import Begun, Copy, Ended, Line, Linked, parsed

LOOK_SECONDS = 0.005  # how often to look for new lines: a hop over these links takes about as long


class Journals:
    """What the processes of one session have written so far, one node after the other.

    Attributes
    ----------
    begun : dict of int to Begun
        By node: how its last process has begun.
    links : dict of int to frozenset of int
        By node: the neighbors that it has links to.
    copies : dict
        By stream and node: the last line about what it keeps.
    ended : dict of int to Ended
        By node: how its last process has left its session.
    arrivals : list of Copy
        The lines that tell of a stream that has come, or was issued anew.
    """

    def __init__(self) -> None:
        self.begun: dict[int, Begun] = {}
        self.links: dict[int, frozenset[int]] = {}
        self.copies: dict[tuple[int, int], Copy] = {}
        self.ended: dict[int, Ended] = {}
        self.arrivals: list[Copy] = []

    def take(self, line: Line) -> None:
        """Take in one more line."""
        match line:
            case Begun(node=node):
                self.begun[node] = line
                self.ended.pop(node, None)
                self.links[node] = frozenset()
                for key in [key for key in self.copies if key[1] == node]:
                    del self.copies[key]
            case Linked(node=node, peers=peers):
                self.links[node] = frozenset(peers)
            case Copy():
                self._take_copy(line)
            case Ended(node=node):
                self.ended[node] = line

    def _take_copy(self, line: Copy) -> None:
        key = line.stream, line.node
        before = self.copies.get(key)
        self.copies[key] = line
        known = before is not None and (
            before.held or before.visited_at_hop == line.visited_at_hop or not line.member
        )
        if not known and line.visited_at_hop and (before is not None or line.held):
            self.arrivals.append(line)

    def holders(self, stream: int) -> list[int]:
        """Return the nodes where a copy of a stream is, the newest copy first."""
        lines = [line for (of, _), line in self.copies.items() if of == stream and line.held]
        return [line.node for line in sorted(lines, key=lambda line: line.rank, reverse=True)]

    def holder(self, stream: int) -> int | None:
        """Return the node that has the newest copy of a stream; None while that is on its way."""
        lines = [line for (of, _), line in self.copies.items() if of == stream]
        newest = max(lines, key=lambda line: line.rank)
        return newest.node if newest.held else None


class Follower:
    """Reads what the processes write; all its methods are for one thread.

    Attributes
    ----------
    seen : Journals
        What was read so far.
    """

    def __init__(self) -> None:
        self.seen = Journals()
        self._paths: dict[Path, int] = {}
        self._pause = Event()

    def follow(self, path: Path) -> None:
        """Read this journal, too."""
        self._paths[path] = 0

    def leave(self, path: Path) -> None:
        """Read what is left of a journal, and no more of it."""
        self.look()
        self._paths.pop(path, None)

    def look(self) -> None:
        """Take in what is new."""
        for path, at in list(self._paths.items()):
            if not path.exists():
                continue
            with path.open("rb") as file:
                file.seek(at)
                new = file.read()
            whole = new.rfind(b"\n") + 1
            self._paths[path] = at + whole
            for text in new[:whole].splitlines():
                self.seen.take(parsed(text))

    def pause(self, seconds: float = LOOK_SECONDS) -> None:
        """Let the processes work for a moment."""
        self._pause.wait(seconds)
