"""Audits the journals of a whole session together, line by line, against the core's invariants.

What one process cannot know, how many steps the others have made, all journals together tell: what
a node has written is there before anyone can hear of it, so in the order of their times no copy may
contain more than was written before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from flwr_digest.core.ids import NodeId, Order, StreamId
from flwr_digest.core.invariants import TOLERANCE_STEPS, UnitWork
from flwr_digest.core.stream import Stream
from tests.chaos.journal import Begun, Copy, Counts, Ended, read_journal
from tests.chaos.setup import Setup

MOST_TROUBLES = 10  # as many tell enough


@dataclass(kw_only=True)
class Findings:
    """What an audit has found.

    Attributes
    ----------
    troubles : list of str
        What does not hold, in words; empty where all is well.
    double_counted : int
        Steps that a copy contained beyond what was made, or what it tells to contain.
    copies : int
        Lines about copies that were checked.
    counts : dict of Path to Counts
        By journal: what went wrong with streams there, up to its last line.
    """

    troubles: list[str] = field(default_factory=list)
    double_counted: int = 0
    copies: int = 0
    counts: dict[Path, Counts] = field(default_factory=dict)

    def total(self, name: str) -> int:
        """Return the sum of one of the counts over all processes."""
        return sum(getattr(each, name) for each in self.counts.values())

    def note(self, trouble: str) -> None:
        """Note what does not hold."""
        if len(self.troubles) < MOST_TROUBLES:
            self.troubles.append(trouble)


class Audit:
    """Goes through all lines of a session.

    Parameters
    ----------
    setup : Setup
        The session.
    journals : iterable of Path
        All of its journals, those of processes that were killed, too.
    """

    def __init__(self, setup: Setup, journals: Iterable[Path]) -> None:
        self._company = setup.company()
        self._works = [setup.company().work for _ in range(setup.shards)]  # one for each shard
        self.found = Findings()
        self._lines = [(line, path) for path in journals for line in read_journal(path)]
        self._lines.sort(key=lambda each: each[0].at)
        self._last = {path: line for line, path in self._lines}
        self._by_order: dict[tuple[int, Order], tuple[Copy, bool]] = {}

    def run(self) -> Findings:
        """Check every line, in the order of their times; return what was found."""
        for line, path in self._lines:
            match line:
                case (
                    Begun(node=node, life=life, known=made) | Ended(node=node, life=life, made=made)
                ):
                    for work, steps in zip(self._works, made, strict=True):
                        work.made[NodeId(node), life] = steps
                case Copy():
                    self._check(line, path)
        return self.found

    def _check(self, line: Copy, path: Path) -> None:
        plan = self._company.streams[StreamId(line.stream)]
        work = self._works[plan.shard]
        work.made[NodeId(line.node), line.life] = line.made
        self.found.copies += 1
        self.found.counts[path] = line.counts
        copy = line.as_stream(work.size)
        try:
            work.check_copy(copy, plan.members, exact=not self._given_up())
        except AssertionError as error:
            self.found.double_counted += _excess(work, copy)
            self.found.note(f"stream {line.stream} at node {line.node}, copy {error}")
        if line.member and line.visited_at_hop == line.order[2]:
            self._check_one_of_its_order(line, path)

    def _given_up(self) -> bool:
        return bool(self.found.total("forfeited_steps") or self.found.total("lost_deposits"))

    def _check_one_of_its_order(self, line: Copy, path: Path) -> None:
        """Check that no two copies of one fence are told apart by nothing.

        Of what a process has written last before it was killed nobody may ever have heard.
        """
        key = line.stream, line.rank
        unheard = self._last[path] is line
        before, forgotten = self._by_order.get(key, (None, True))
        if before is None or forgotten:
            self._by_order[key] = line, unheard
        elif not unheard and before.model != line.model:
            self.found.note(f"stream {line.stream}: two copies {line.rank} with other work")


def _excess(work: UnitWork, copy: Stream) -> int:
    """Return how many steps a copy contains that it does not tell of, or that nobody made."""
    excess = 0.0
    for (node, life), made in work.made.items():
        visit = copy.last_visit(node)
        told = min(made, visit.steps) if visit.life == life else made
        contained = work.contained(copy, node, life)
        excess += contained - told if contained > told + TOLERANCE_STEPS else 0.0
    return round(excess)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a session has ended at one node."""

    ended: Ended
    copies: dict[int, Copy]


def outcomes(journals: Iterable[Path]) -> dict[int, Outcome]:
    """Return how the session has ended at each node that has ended it, by its last process."""
    found: dict[int, Outcome] = {}
    for path in journals:
        copies: dict[int, Copy] = {}
        for line in read_journal(path):
            if isinstance(line, Copy) and line.member:
                copies[line.stream] = line
            elif isinstance(line, Ended):
                found[line.node] = Outcome(ended=line, copies=copies)
    return found


def end_troubles(setup: Setup, journals: Iterable[Path], nodes: Iterable[int]) -> list[str]:
    """Return what does not hold at the end of a session that was to end in peace.

    Parameters
    ----------
    setup : Setup
        The session.
    journals : iterable of Path
        All of its journals.
    nodes : iterable of int
        Who was to see its end; others have left, or were killed for good.
    """
    company, ends = setup.company(), outcomes(journals)
    troubles = [f"node {node} has not ended" for node in nodes if node not in ends]
    there = {node: ends[node] for node in nodes if node in ends}
    for node, outcome in there.items():
        if outcome.ended.ending != "the session closed":
            troubles.append(f"node {node} ended as {outcome.ended.ending}")
    for stream_id, plan in company.streams.items():
        lines = {n: there[n].copies[stream_id] for n in there if n in plan.members}
        if lines:
            made = {n: there[n].ended.made[plan.shard] for n in lines}
            troubles += _troubles_with(lines, made, company.work)
    return troubles


def _troubles_with(lines: dict[int, Copy], made: dict[int, int], work: UnitWork) -> list[str]:
    """Return what does not hold of one stream: one copy, the same for all, with all work in it."""
    troubles = []
    newest = max(lines.values(), key=lambda line: line.rank)
    live = [node for node, line in lines.items() if line.held]
    if len(live) != 1:
        troubles.append(f"stream {newest.stream} is live at {live}: at one node it must be")
    copy = newest.as_stream(work.size)
    for node, line in lines.items():
        if not line.closed:
            troubles.append(f"node {node} still awaits stream {line.stream}")
        if line.model != newest.model:
            troubles.append(f"node {node} ended with another model of stream {line.stream}")
        contained = work.contained(copy, NodeId(node), line.life)
        given_up = line.counts.forfeited_steps
        if not made[node] - given_up <= contained <= made[node]:
            troubles.append(
                f"stream {line.stream} ended with {contained} steps of node {node}, "
                f"which made {made[node]} and gave {given_up} up"
            )
    return troubles
