"""`training`: what is made of the stretches, and real ones, small."""

from __future__ import annotations

import time
from functools import partial

import pytest

pytest.importorskip("torch")

from flwr_digest.benches.loops import LOOPS, Loop
from flwr_digest.benches.metronome import (
    LATE_SECONDS,
    METRONOME,
    STEPS,
    TRAINEE,
    Couple,
    Metronome,
)
from flwr_digest.benches.sessions import SESSION_SECONDS
from flwr_digest.benches.trainee import Stretch, Times, Trainee
from flwr_digest.benches.training import RATES, speed_of
from flwr_digest.benches.workers import Worker
from flwr_digest.launch.ports import LOOPBACK, free_ports
from flwr_digest.learning.flat import layout_of
from flwr_digest.overlay.fields import MOST_COUNT

BEATS = 20
MOST_SECONDS = 60.0


def stretch(steps: int, visits: int = 0, **times: float) -> Stretch:
    return Stretch(seconds=2.0, steps=steps, visits=visits, times=Times(**times))


def test_shares_are_taken_within_a_round_and_costs_over_all_visits() -> None:
    alone = [stretch(200, training=2.0), stretch(100, training=1.0)]
    visited = [
        stretch(150, 10, training=1.6, grpc=0.1, overlay=0.2, waiting=0.5),
        stretch(75, 10, training=1.25, grpc=0.1, overlay=0.4, waiting=0.5),
    ]

    speed = speed_of("mlp", 1000, 5, {0: alone, 5: visited})

    assert speed.share_of_steps == 0.75
    assert speed.share_while_running == 1.0
    assert speed.visits_made_per_second == 5.0
    spent = speed.milliseconds_per_visit
    assert spent.training_thread == pytest.approx(1e3 * (1.6 + 1.25 - 225 * 0.01) / 20)
    assert (spent.grpc, spent.overlay) == pytest.approx((10.0, 30.0))
    assert spent.blocked == pytest.approx(1e3 * (4.0 - 2.85 - 1.0 - 4.0 * 0.25) / 20)


@pytest.mark.parametrize("name", LOOPS)
def test_models_have_about_a_megabyte_and_can_be_trained(name: str) -> None:
    loop = Loop(name)
    before = [each.detach().clone() for each in loop.model.parameters()]

    loop.step()

    assert 1.0e6 < 4 * layout_of(loop.model).size < 1.2e6
    assert any((a != b).any() for a, b in zip(before, loop.model.parameters(), strict=True))


def test_no_bench_is_so_long_that_a_stream_is_refused_for_its_steps() -> None:
    assert max(RATES) * SESSION_SECONDS * STEPS < MOST_COUNT


def test_a_stream_visits_at_the_beat_and_not_at_all_without_one() -> None:
    ports = free_ports(2)
    couple = Couple(
        addresses=(f"{LOOPBACK}:{ports[TRAINEE]}", f"{LOOPBACK}:{ports[METRONOME]}"),
        layout=layout_of(LOOPS["mlp"][0]()),
    )
    with (
        Worker("neighbor", partial(Metronome, couple)) as neighbor,
        Worker("node", partial(Trainee, "mlp", couple)) as node,
    ):
        node.do("alone", 0.1)
        neighbor.do("beat", BEATS)
        begin, visits = time.monotonic(), 0
        while not visits:  # nobody knows when the machine gets round to it
            visited = node.do("visited", 0.3)
            visits += visited.visits
            assert time.monotonic() - begin < MOST_SECONDS
        most = BEATS * (time.monotonic() - begin + LATE_SECONDS) + 1
        neighbor.do("beat", 0)
        after = [node.do(how, 0.2) for how in ("visited", "alone")]

    assert visits <= most
    assert visited.steps > 0
    assert sum(each.visits for each in after) <= 1  # that of the last beat
