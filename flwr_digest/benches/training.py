"""What streams that pass through a node cost whoever trains there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np

from flwr_digest.benches.loops import LOOPS
from flwr_digest.benches.measures import Spread, Tell, spread
from flwr_digest.benches.metronome import METRONOME, TRAINEE, Couple, Metronome
from flwr_digest.benches.trainee import Stretch, Trainee
from flwr_digest.benches.workers import Worker
from flwr_digest.launch.ports import LOOPBACK, free_ports
from flwr_digest.learning.flat import layout_of

RATES = (10, 50)
"""Visits a second of a 1.1 MB stream: links of 100 and 500 Mbit/s, used to the full."""

SEED = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class PerVisit:
    """Milliseconds that a visit takes at the node: of processor time by who spends it, and idle.

    Attributes
    ----------
    blocked : float
        The training thread can do nothing: the overlay has the lock of Python's interpreter, or of
        the hand-off. What a system takes away from its guests is in it too.
    training_thread : float
        Beyond its steps: it takes in what a visit has brought, and has colder caches after it.
    grpc : float
        gRPC's core: sockets, HTTP/2.
    overlay : float
        Our threads and those of gRPC's Python part: copies, checks, merges.
    """

    blocked: float
    training_thread: float
    grpc: float
    overlay: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSpeed:
    """Local steps beside a stream; medians of the rounds, shares within a round.

    Attributes
    ----------
    loop : str
        What is trained.
    bytes : int
        Of the model, and of the stream.
    visits_per_second : int
        How many were asked for.
    visits_made_per_second : float
        How many there were.
    steps_per_second : float
        With them.
    share_of_steps, share_of_steps_spread : float, Spread
        As a share of the same loop alone, by the clock on the wall.
    share_while_running : float
        The same, without the time in which the training thread waited for a processor, with the
        streams or alone: what other programs take away is not in it, nor what the overlay does
        where there are too few processors for both.
    milliseconds_per_visit : PerVisit
        What a visit is spent on.
    load : float
        Mean number of running processes in the last minute, this bench's own among them.
    """

    loop: str
    bytes: int
    visits_per_second: int
    visits_made_per_second: float
    steps_per_second: float
    share_of_steps: float
    share_of_steps_spread: Spread
    share_while_running: float
    milliseconds_per_visit: PerVisit
    load: float


def training_speeds(
    loop: str, rates: Sequence[int], seconds: float, repeats: int, tell: Tell
) -> list[TrainingSpeed]:
    """Measure a loop alone and at some rates, in turns, in a process of its own.

    Parameters
    ----------
    loop : str
        One of `LOOPS`.
    rates : sequence of int
        Visits a second, above 0.
    seconds, repeats : float, int
        How long a turn is, and how many each has.
    tell : callable
        Told which share is done.

    Raises
    ------
    DigestError
        A process failed, died or hangs.
    """
    ports = free_ports(2)
    layout = layout_of(LOOPS[loop][0]())
    couple = Couple(
        addresses=(f"{LOOPBACK}:{ports[TRAINEE]}", f"{LOOPBACK}:{ports[METRONOME]}"),
        layout=layout,
    )
    stretches: dict[int, list[Stretch]] = {rate: [] for rate in (0, *rates)}
    source = np.random.default_rng([SEED, len(loop)])
    with (
        Worker("the neighbor", partial(Metronome, couple)) as neighbor,
        Worker(f"the node that trains {loop}", partial(Trainee, loop, couple)) as node,
    ):
        node.do("alone", seconds)  # whatever is set up once is not measured
        for number in range(repeats):
            for rate in map(int, source.permutation([0, *rates])):
                neighbor.do("beat", rate)
                stretches[rate].append(node.do("visited" if rate else "alone", seconds))
            tell((number + 1) / repeats)
    return [speed_of(loop, 4 * layout.size, rate, stretches) for rate in rates]


def speed_of(
    loop: str, size: int, rate: int, stretches: Mapping[int, Sequence[Stretch]]
) -> TrainingSpeed:
    """Return what the stretches at a rate and those alone, at rate 0, amount to."""
    visited, alone = stretches[rate], stretches[0]
    shares = [_pace(v) / _pace(a) for v, a in zip(visited, alone, strict=True)]
    running = [_pace_running(v) / _pace_running(a) for v, a in zip(visited, alone, strict=True)]
    return TrainingSpeed(
        loop=loop,
        bytes=size,
        visits_per_second=rate,
        visits_made_per_second=median(each.visits / each.seconds for each in visited),
        steps_per_second=median(_pace(each) for each in visited),
        share_of_steps=median(shares),
        share_of_steps_spread=spread(shares),
        share_while_running=median(running),
        milliseconds_per_visit=_per_visit(visited, alone),
        load=os.getloadavg()[0],
    )


def _pace(stretch: Stretch) -> float:
    return stretch.steps / stretch.seconds


def _pace_running(stretch: Stretch) -> float:
    return stretch.steps / (stretch.seconds - stretch.times.waiting)


def _blocked(stretch: Stretch) -> float:
    return stretch.seconds - stretch.times.training - stretch.times.waiting


def _per_visit(visited: Sequence[Stretch], alone: Sequence[Stretch]) -> PerVisit:
    """Return what all visits have cost, over their number."""
    visits = sum(each.visits for each in visited) or 1
    step = sum(each.times.training for each in alone) / sum(each.steps for each in alone)
    training = sum(each.times.training - each.steps * step for each in visited)
    idle = sum(map(_blocked, alone)) / sum(each.seconds for each in alone)
    blocked = sum(_blocked(each) - each.seconds * idle for each in visited)
    return PerVisit(
        blocked=1e3 * blocked / visits,
        training_thread=1e3 * training / visits,
        grpc=1e3 * sum(each.times.grpc for each in visited) / visits,
        overlay=1e3 * sum(each.times.overlay for each in visited) / visits,
    )
