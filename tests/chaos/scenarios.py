"""Chaos on real processes with real links, as data."""

from __future__ import annotations

from tests.chaos.faults import FillDisk, Join, Kill, Leave, Lose, Restart
from tests.chaos.random_faults import random_schedule
from tests.chaos.rules import FreezeHolder, KillHolders, Partition
from tests.chaos.scenario import Scenario
from tests.chaos.setup import Setup
from tests.chaos.topologies import links_of

RANDOM_TOURS = 40  # of a random schedule: some of its faults outlast the wait for a lost stream
RANDOM_FAULTS = 8
RANDOM_SESSIONS = 20


def random_scenario(seed: int, setup: Setup, name: str, tours: int = RANDOM_TOURS) -> Scenario:
    """Return a session with a random schedule; times count in tours."""
    links = [(path.low, path.high) for path in links_of(setup.company())]
    schedule = random_schedule(seed, setup.nodes, links, float(tours), RANDOM_FAULTS)
    return Scenario(name=name, setup=setup, schedule=schedule, seed=seed)


RANDOM_SETUPS = (
    Setup(),
    Setup(topology="ring"),
    Setup(shards=4),
    Setup(regions=2),
    Setup(drift_correction=True),
    Setup(shards=4, drift_correction=True),
    Setup(regions=2, shards=2, drift_correction=True),
)


def random_scenarios(count: int, first_seed: int = 0) -> list[Scenario]:
    """Return so many sessions with random schedules, of all kinds in turn."""
    return [
        random_scenario(seed, RANDOM_SETUPS[seed % len(RANDOM_SETUPS)], f"random-{seed}")
        for seed in range(first_seed, first_seed + count)
    ]


SLOW = Setup(step_seconds=0.2)  # tours of a second: no wait is as short as 3 of the fast ones
LARGE = Setup(lives=64)  # its histories take several pages of a disk
NO_LOSS = {"forfeited": 0.0}
SCENARIOS: list[Scenario] = [
    Scenario(
        name="kill-20-holders",
        rule=KillHolders(kills=20),
        at_most={**NO_LOSS, "longest_without_stream_tours": 3.0},
    ),
    Scenario(name="freeze-holder-60s", rule=FreezeHolder(seconds=60.0), at_most=NO_LOSS),
    Scenario(
        name="partition-5-3",
        setup=SLOW,
        rule=Partition(nodes=frozenset({5, 6, 7}), tours=10),
        at_most={**NO_LOSS, "both_have_learned_after_tours": 10.0},
    ),
    Scenario(
        name="partition-5-3-told",
        setup=SLOW,
        rule=Partition(nodes=frozenset({5, 6, 7}), tours=10),
        at_most={**NO_LOSS, "both_have_learned_after_tours": 10.0},
        proxies=True,
    ),
    Scenario(
        name="restart-without-state",
        schedule=(
            Kill(at=1.0, node=2),
            Restart(at=5.0, node=2, with_state=False),
            Kill(at=12.0, node=0),
            Restart(at=15.0, node=0, with_state=False),
        ),
    ),
    Scenario(
        name="join-and-leave",
        schedule=(Join(at=2.0, node=7), Leave(at=12.0, node=2)),
        at_most=NO_LOSS,
    ),
    Scenario(
        name="start-comes-late",  # the stream is to start there: the others issue it themselves
        schedule=(Join(at=3.0, node=0),),
        at_most=NO_LOSS,
    ),
    Scenario(
        name="full-disk",
        setup=LARGE,
        schedule=(
            FillDisk(at=1.0, node=3, seconds=24.0),
            FillDisk(at=2.0, node=5, seconds=18.0),
            # While one is away the others' histories grow, and with them their files.
            Kill(at=3.0, node=6),
            Kill(at=15.0, node=3),
            Restart(at=18.0, node=6),
            Restart(at=26.0, node=3),
        ),
        at_least={"unsaved_states": 1.0},
    ),
    Scenario(
        name="lossy-links",
        schedule=tuple(
            Lose(at=1.0, link=path, share=0.3, seconds=30.0)
            for path in ((0, 1), (2, 4), (3, 7), (5, 6))
        ),
        at_most=NO_LOSS,
    ),
    *random_scenarios(RANDOM_SESSIONS),
]
