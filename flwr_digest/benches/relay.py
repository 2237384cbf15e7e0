"""One hop between two processes over this overlay, raw TCP and a naive overlay, taking turns."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median

import numpy as np

from flwr_digest.benches.ends import Way
from flwr_digest.benches.forwarding import FORWARDING, FORWARDING_MTLS
from flwr_digest.benches.measures import (
    Spread,
    Tell,
    median_ratio,
    ratio_spread,
    spread,
)
from flwr_digest.benches.naive import NAIVE, NAIVE_MTLS
from flwr_digest.benches.overlay_hop import OVERLAY, OVERLAY_MTLS
from flwr_digest.benches.pairs import Pair, Turn
from flwr_digest.benches.raw_tcp import RAW_TCP
from flwr_digest.core.ids import NodeId
from flwr_digest.overlay.identity import new_identity

SIZES = (40_000, 1_100_000, 10_000_000, 45_000_000, 100_000_000)
"""Bytes: a digits MLP, ResNet-20, a mobile model, ResNet-18, ResNet-50."""

VALUE_BYTES = 4
TURN_BYTES = 10_000_000
"""A turn is so many bytes, or one hop where that is more: shorter ones measure the scheduler."""

MOST_HOPS = 20
WAYS = (RAW_TCP, NAIVE, NAIVE_MTLS, OVERLAY, OVERLAY_MTLS, FORWARDING, FORWARDING_MTLS)
COMPARED = {
    "insecure": (OVERLAY, NAIVE, FORWARDING),
    "mtls": (OVERLAY_MTLS, NAIVE_MTLS, FORWARDING_MTLS),
}
"""By security: this overlay, what it is compared with, and with visits."""

SEED = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class RelaySpeed:
    """One hop of a model: sent, received into a vector, checked, acknowledged.

    Times are medians of the rounds, ratios medians of the ratios of each round; a spread is the
    middle half of the rounds.

    Attributes
    ----------
    bytes : int
        Of the model, that is four for each value.
    security : str
        "insecure" or "mtls"; raw TCP is always without.
    p50_ms, p50_ms_spread : float, Spread
        Milliseconds of a hop.
    over_raw_tcp, over_raw_tcp_spread : float, Spread
        Goodput as a share of that of raw TCP into one and the same vector, without checks.
    over_naive, over_naive_spread : float, Spread
        Goodput over that of a unary gRPC call with a protobuf message, with the same security.
    cpu_seconds_per_gb : float
        Processor time of both processes.
    with_visit_p50_ms, with_visit_cpu_seconds_per_gb : float
        The same for hops with all that a visit is: merge, rebase, forward.
    sender_memory, receiver_memory : float or None
        Most memory that a hop takes, over the model's size, at the sender beyond the model and at
        the receiver beyond the vector that the model ends up in. None where the system does not
        tell.
    load : float
        Mean number of running processes in the last minute, this bench's own among them.
    """

    bytes: int
    security: str
    p50_ms: float
    p50_ms_spread: Spread
    over_raw_tcp: float
    over_raw_tcp_spread: Spread
    over_naive: float
    over_naive_spread: Spread
    cpu_seconds_per_gb: float
    with_visit_p50_ms: float
    with_visit_cpu_seconds_per_gb: float
    sender_memory: float | None
    receiver_memory: float | None
    load: float


@contextmanager
def pairs_of(ways: Sequence[Way], sizes: Sequence[int]) -> Iterator[Mapping[str, Pair]]:
    """Yield the processes at both ends of each way, by its name, for models of some sizes."""
    identities = (new_identity(NodeId(0)), new_identity(NodeId(1)))
    values = tuple(size // VALUE_BYTES for size in sizes)
    with ExitStack() as stack:
        yield {way.name: stack.enter_context(Pair(way, values, identities)) for way in ways}


def relay_speeds(
    pairs: Mapping[str, Pair], size: int, repeats: int, tell: Tell
) -> list[RelaySpeed]:
    """Measure hops of models of one size over all ways.

    Parameters
    ----------
    pairs : mapping of str to Pair
        For all of `WAYS`, see `pairs_of`.
    size : int
        Bytes of the model, one of the sizes of the pairs.
    repeats : int
        Rounds; in each, all ways take a turn in a random order.
    tell : callable
        Told which share is done.

    Returns
    -------
    list of RelaySpeed
        In plaintext and with mutual TLS.

    Raises
    ------
    DigestError
        A process failed, died or hangs.
    """
    count = max(1, min(MOST_HOPS, TURN_BYTES // size))
    peaks = {}
    for name, pair in pairs.items():
        pair.prepare(size // VALUE_BYTES)
        peaks[name] = pair.peaks()
        pair.turn(count)  # whatever is set up once is not measured
    turns: dict[str, list[Turn]] = {name: [] for name in pairs}
    order = np.random.default_rng([SEED, size])
    for number in range(repeats):
        for name in order.permutation(list(pairs)):
            turns[str(name)].append(pairs[str(name)].turn(count))
        tell((number + 1) / repeats)
    return [
        speed_of(size, security, turns, peaks[ways[0].name]) for security, ways in COMPARED.items()
    ]


def speed_of(
    size: int,
    security: str,
    turns: Mapping[str, Sequence[Turn]],
    peaks: tuple[int, int] | None,
) -> RelaySpeed:
    """Return what the turns of all ways, by name, and the peaks of a hop's memory amount to."""
    ours, naive, visits = (
        [median(turn.seconds) for turn in turns[way.name]] for way in COMPARED[security]
    )
    raw = [median(turn.seconds) for turn in turns[RAW_TCP.name]]
    receiver, sender = (None, None) if peaks is None else peaks
    return RelaySpeed(
        bytes=size,
        security=security,
        p50_ms=1e3 * median(ours),
        p50_ms_spread=spread([1e3 * each for each in ours]),
        over_raw_tcp=median_ratio(ours, raw),
        over_raw_tcp_spread=ratio_spread(ours, raw),
        over_naive=median_ratio(ours, naive),
        over_naive_spread=ratio_spread(ours, naive),
        cpu_seconds_per_gb=_cpu_per_gb(size, COMPARED[security][0], turns),
        with_visit_p50_ms=1e3 * median(visits),
        with_visit_cpu_seconds_per_gb=_cpu_per_gb(size, COMPARED[security][2], turns),
        sender_memory=None if sender is None else sender / size,
        receiver_memory=None if receiver is None else max(0.0, receiver / size - 1),
        load=os.getloadavg()[0],
    )


def _cpu_per_gb(size: int, way: Way, turns: Mapping[str, Sequence[Turn]]) -> float:
    return median(
        turn.cpu_seconds / (len(turn.seconds) * way.hops * size * 1e-9) for turn in turns[way.name]
    )
