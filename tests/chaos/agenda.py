"""Carries a schedule of faults out on processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from flwr_digest.core.ids import NodeId, link
from tests.chaos.conductor import Conductor
from tests.chaos.faults import (
    Cut,
    Fault,
    FillDisk,
    Freeze,
    Join,
    Kill,
    Leave,
    Lose,
    Part,
    Restart,
    Schedule,
    Slow,
)
from tests.chaos.topologies import between

Deed = Callable[[], None]


def carry_out(conductor: Conductor, schedule: Schedule, unit_seconds: float) -> None:
    """Carry out all faults, and what undoes them.

    Parameters
    ----------
    conductor : Conductor
        Has the processes.
    schedule : Schedule
        The faults; their times count from now.
    unit_seconds : float
        How long one unit of their times is: a tour as it was observed, say.
    """
    deeds = [each for fault in schedule for each in deeds_of(conductor, fault)]
    began = conductor.time
    for at, deed in sorted(deeds, key=lambda each: each[0]):
        conductor.await_time(began + at * unit_seconds)
        deed()


def deeds_of(conductor: Conductor, fault: Fault) -> Iterator[tuple[float, Deed]]:
    """Yield what is to be done, and when, in the schedule's units.

    Raises
    ------
    ValueError
        The fault befalls what there is not in such a session.
    """
    at, do = fault.at, conductor
    match fault:
        case Kill(node=node):
            yield at, partial(do.kill, NodeId(node))
        case Restart(node=node, with_state=with_state):
            yield at, partial(do.restart, NodeId(node), with_state=with_state)
        case Freeze(node=node, seconds=seconds):
            yield at, partial(do.freeze, NodeId(node))
            yield at + seconds, partial(do.thaw, NodeId(node))
        case Slow(node=node, factor=factor, seconds=seconds):
            yield at, partial(do.slow, NodeId(node), factor)
            yield at + seconds, partial(do.slow, NodeId(node), 1.0)
        case Join(node=node):
            yield at, partial(do.start, NodeId(node))
        case Leave(node=node):
            yield at, partial(do.leave, NodeId(node))
        case FillDisk(node=node, seconds=seconds):
            yield at, partial(do.fill_disk, NodeId(node))
            yield at + seconds, partial(do.free_disk, NodeId(node))
        case Cut() | Part() | Lose():
            yield from _deeds_of_links(conductor, fault)
        case _:
            raise ValueError(f"{fault} befalls Flower's processes: there are none here")


def _deeds_of_links(do: Conductor, fault: Cut | Part | Lose) -> Iterator[tuple[float, Deed]]:
    at, end = fault.at, fault.at + fault.seconds
    match fault:
        case Cut(link=(one, other)):
            path = link(NodeId(one), NodeId(other))
            yield at, partial(do.cut, [path])
            yield end, partial(do.heal, [path])
        case Part(nodes=nodes):
            yield at, partial(do.cut, between(do.company, nodes))
            yield end, partial(do.heal, between(do.company, nodes))
        case Lose(link=(one, other), share=share):
            path = link(NodeId(one), NodeId(other))
            yield at, partial(do.network.lose, path, share)
            yield end, partial(do.network.lose, path, 0.0)
