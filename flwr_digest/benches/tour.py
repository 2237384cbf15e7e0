"""How often a model passes eight nodes over slow links, whole or in shards; and what it weighs."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from threading import Event
from typing import NamedTuple

from flwr_digest.benches.measures import Spread, Tell, spread
from flwr_digest.benches.pacing import Line
from flwr_digest.benches.ring import CountingTrainer, Ring
from flwr_digest.overlay.link import LOGGER
from flwr_digest.overlay.session import Session
from flwr_digest.overlay.traffic import Traffic

NODES = 8
LINE = Line(bytes_per_second=100e6 / 8, latency_seconds=0.02)
"""100 Mbit/s and 20 ms one way: a good wide-area link."""

MODEL_BYTES = 5_000_000
"""Large enough that a hop is 20 parts transfer and one part latency; a guess at a common size."""

SHARDS = (1, 8, 32)
TOUR_SECONDS = 120.0
"""The wait for a stream that passes all nodes once: 3.4 s by calculation; a busy machine, more."""

CONTROL_BYTES = (10_000, 1_100_000)
"""Models whose control bytes are weighed: of the handwritten digits, and ResNet-20."""

CONTROL_TOURS = 10
VALUE_BYTES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class TourSpeed:
    """How fast the whole model goes round; medians of the rounds, ratios within a round.

    Attributes
    ----------
    bytes : int
        Of the model.
    shards : int
        Streams that carry it.
    tours_per_minute, tours_per_minute_spread : float, Spread
        How often all of the model passes all nodes in a minute.
    over_one_shard : float or None
        Times as many as with a single stream; None where that was not measured.
    resent_share : float
        Of all hops, those that were sent again, as no receipt came in time.
    """

    bytes: int
    shards: int
    tours_per_minute: float
    tours_per_minute_spread: Spread
    over_one_shard: float | None
    resent_share: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Weight:
    """What goes over the links beside the model, as a share of all.

    Attributes
    ----------
    bytes : int
        Of the model.
    control_share : float
        Of the overlay's own bytes: headers, receipts and the like.
    below_share : float
        Of the bytes on the wire: what gRPC, HTTP/2, TCP and IP add (an estimate, see
        `flwr_digest.overlay.traffic.wire_bytes`).
    """

    bytes: int
    control_share: float
    below_share: float


def tour_speeds(
    size: int, shards: Sequence[int], seconds: float, repeats: int, tell: Tell
) -> list[TourSpeed]:
    """Measure tours, a session for each number of shards in turns.

    Parameters
    ----------
    size : int
        Bytes of the model.
    shards : sequence of int
        Numbers of streams.
    seconds, repeats : float, int
        How long each session is watched, after a tour to warm up, and how often.
    tell : callable
        Told which share is done.

    Raises
    ------
    DigestError
        Nodes do not link, or a stream gets stuck.
    """
    watched: dict[int, list[Watched]] = {each: [] for each in shards}
    for number in range(repeats):
        for place, each in enumerate(shards):
            watched[each].append(watch(_ring(size, each, LINE), seconds))
            tell((number + (place + 1) / len(shards)) / repeats)
    return [_speed(size, each, watched) for each in shards]


@contextmanager
def _calm_log() -> Iterator[None]:
    """Keep what the figures tell off the terminal: a line for each hop that was sent again."""
    before = LOGGER.level
    LOGGER.setLevel(logging.ERROR)
    try:
        yield
    finally:
        LOGGER.setLevel(before)


def _speed(size: int, shards: int, watched: Mapping[int, Sequence[Watched]]) -> TourSpeed:
    rates = {each: [one.tours_per_minute for one in found] for each, found in watched.items()}
    alone = rates.get(1)
    return TourSpeed(
        bytes=size,
        shards=shards,
        tours_per_minute=median(rates[shards]),
        tours_per_minute_spread=spread(rates[shards]),
        over_one_shard=None
        if alone is None
        else median(ours / one for ours, one in zip(rates[shards], alone, strict=True)),
        resent_share=median(one.resent_share for one in watched[shards]),
    )


def _ring(size: int, shards: int, line: Line | None) -> Ring:
    return Ring(nodes=NODES, values=size // VALUE_BYTES, shards=shards, line=line)


class Watched(NamedTuple):
    """What some seconds of a session have shown; hops are those of the whole session."""

    tours_per_minute: float
    resent_share: float


def watch(ring: Ring, seconds: float) -> Watched:
    """Run a session and watch it for some seconds once all streams have passed all nodes.

    It is watched for longer where a stream takes longer to come by: none would be no figure.
    """
    trainers = [CountingTrainer(ring.values) for _ in range(ring.nodes)]
    with _calm_log(), ring.running(trainers) as sessions:
        for trainer in trainers:
            trainer.await_visits(1, TOUR_SECONDS)
        before, begin = sum(trainer.visits() for trainer in trainers), time.monotonic()
        seen = trainers[0].least_visits()
        Event().wait(seconds)
        trainers[0].await_visits(seen + 1, TOUR_SECONDS)
        visits = sum(trainer.visits() for trainer in trainers) - before
        spent = time.monotonic() - begin
        for session in sessions:
            session.check()
        totals = [session.report().totals() for session in sessions]
    resent, hops = (sum(each[name] for each in totals) for name in ("resends", "hops_sent"))
    return Watched(
        tours_per_minute=60 * visits / (spent * ring.nodes * ring.shards),
        resent_share=resent / hops,
    )


def weight(size: int, tours: int = CONTROL_TOURS) -> Weight:
    """Weigh what some tours of a model of `size` bytes send, over links of any speed."""
    ring = _ring(size, 1, None)
    trainers = [CountingTrainer(ring.values) for _ in range(ring.nodes)]
    with _calm_log(), ring.running(trainers) as sessions:
        for trainer in trainers:
            trainer.await_visits(tours, TOUR_SECONDS)
        return weighed(size, sessions)


def weighed(size: int, sessions: Sequence[Session]) -> Weight:
    """Return what the nodes have sent so far; every byte is counted where it leaves."""
    sent: list[Traffic] = [
        traffic for session in sessions for traffic in dict(session.report().traffic).values()
    ]
    payload = sum(each.payload_bytes_sent for each in sent)
    control = sum(each.control_bytes_sent for each in sent)
    wire = sum(each.wire_bytes_sent for each in sent)
    return Weight(
        bytes=size,
        control_share=control / (payload + control),
        below_share=1 - (payload + control) / wire,
    )
