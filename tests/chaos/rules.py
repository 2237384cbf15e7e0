"""Faults that depend on what a session does: who holds the stream, and how long its tours take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flwr_digest.core.ids import NodeId
from tests.chaos.conductor import LAST_RESORT_SECONDS, Conductor, HangError
from tests.chaos.figures import Figures, tour_seconds
from tests.chaos.journal import Copy
from tests.chaos.topologies import between

Rule = Callable[[Conductor], Figures]
STREAM = 0
LATE = 1000  # arrivals: far more than there are in a wait of some tours


def caught(conductor: Conductor) -> tuple[NodeId, float]:
    """Freeze whichever node has the stream, surely; return it, and when it was frozen.

    Raises
    ------
    HangError
        It was always gone before its holder stood still.
    """
    end = conductor.time + LAST_RESORT_SECONDS
    while conductor.time < end:
        conductor.await_that(
            lambda: conductor.seen.holder(STREAM) is not None, "nobody ever holds the stream"
        )
        holder = conductor.seen.holder(STREAM)
        assert holder is not None
        node, at = NodeId(holder), conductor.time
        conductor.freeze(node)
        if conductor.seen.holder(STREAM) == node:
            return node, at
        conductor.thaw(node)
    raise HangError("the stream is never caught")


def await_elsewhere(conductor: Conductor, but: NodeId, since: float) -> Copy:
    """Wait until the stream comes to another node; return the line that tells of it."""

    def elsewhere() -> list[Copy]:
        late = conductor.seen.arrivals[-LATE:]
        return [line for line in late if line.at > since and line.node != but]

    conductor.await_that(lambda: bool(elsewhere()), f"the stream that node {but} had never returns")
    return min(elsewhere(), key=lambda line: line.at)


@dataclass(frozen=True, kw_only=True, slots=True)
class KillHolders:
    """Kills whichever node holds the stream, again and again; each comes back with its state.

    Parameters
    ----------
    kills : int
        How many times.
    with_state : bool
        Whether they come back with their state.
    """

    kills: int
    with_state: bool = True

    def __call__(self, conductor: Conductor) -> Figures:
        """Carry it out; return how long the stream was away, in tours of before the first."""
        silences, tour = [], tour_seconds(conductor.seen.arrivals)
        for _ in range(self.kills):
            conductor.settle(tours=1)
            node, at = caught(conductor)
            conductor.kill(node)
            silences.append(await_elsewhere(conductor, node, at).at - at)
            conductor.restart(node, with_state=self.with_state)
        return {
            "kills": self.kills,
            "longest_without_stream_seconds": round(max(silences), 3),
            "mean_without_stream_seconds": round(sum(silences) / len(silences), 3),
            "longest_without_stream_tours": round(max(silences) / tour, 2),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class FreezeHolder:
    """Freezes the node that holds the stream, and wakes it with its old copy.

    Parameters
    ----------
    seconds : float
        For how long at least; the stream must have come back without it, too.
    """

    seconds: float

    def __call__(self, conductor: Conductor) -> Figures:
        """Carry it out; return how long the stream was away."""
        tour = tour_seconds(conductor.seen.arrivals)
        node, at = caught(conductor)
        silence = await_elsewhere(conductor, node, at).at - at
        conductor.await_time(at + self.seconds)
        copies = len(conductor.seen.holders(STREAM))
        conductor.thaw(node)
        conductor.settle()
        return {
            "frozen_seconds": round(conductor.time - at, 1),
            "without_stream_tours": round(silence / tour, 2),
            "live_copies_before_it_woke": copies,
            "stale_drops": sum(line.counts.stale_drops for line in conductor.seen.copies.values()),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Partition:
    """Parts the nodes for some tours, and brings them together again.

    Parameters
    ----------
    nodes : frozenset of int
        One side.
    tours : int
        For how long; and until both sides have learned something.
    """

    nodes: frozenset[int]
    tours: int

    def __call__(self, conductor: Conductor) -> Figures:
        """Carry it out; return how many steps of others came to each side meanwhile, and when."""
        tour, seen = tour_seconds(conductor.seen.arrivals), len(conductor.seen.arrivals)
        began = conductor.time
        cables = between(conductor.company, self.nodes)
        conductor.cut(cables)

        def learned() -> dict[str, int]:
            meanwhile = [line for line in conductor.seen.arrivals[seen:] if line.at > began]
            one = learned_by(line for line in meanwhile if line.node in self.nodes)
            other = learned_by(line for line in meanwhile if line.node not in self.nodes)
            return {"learned_by_one_side": one, "learned_by_other_side": other}

        conductor.await_that(lambda: all(learned().values()), "a side learns nothing")
        both = conductor.time
        conductor.await_time(began + self.tours * tour)
        figures = learned()
        conductor.heal(cables)
        healed = conductor.time
        conductor.settle()
        return {
            **figures,
            "both_have_learned_after_tours": round((both - began) / tour, 2),
            "healed_after_tours": round((conductor.time - healed) / tour, 2),
        }


@dataclass(frozen=True, slots=True)
class InTurn:
    """One rule after the other.

    Parameters
    ----------
    rules : tuple of callable
        The rules.
    """

    rules: tuple[Rule, ...]

    def __call__(self, conductor: Conductor) -> Figures:
        """Carry them out; return the figures of all."""
        return {name: told for rule in self.rules for name, told in rule(conductor).items()}


def learned_by(lines: Iterable[Copy]) -> int:
    """Return how many local steps of others came to nodes between their first visit and last."""
    known: dict[int, tuple[int, int]] = {}
    for line in lines:
        told = sum(steps for node, _, _, _, steps in line.visits if node != line.node)
        first, _ = known.get(line.node, (told, told))
        known[line.node] = first, told
    return sum(last - first for first, last in known.values())
