"""Random faults without end: ``python -m tests.chaos.soak --minutes 30``.

Some nodes are never killed: what they take of the machine must not grow.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from flwr_digest.core.ids import NodeId
from tests.chaos.agenda import carry_out
from tests.chaos.audit import Audit, end_troubles
from tests.chaos.conductor import Conductor, HangError
from tests.chaos.faults import Fault, Join, Kill, Leave, Restart, Schedule
from tests.chaos.figures import tour_seconds
from tests.chaos.growth import Sample, grows, sample
from tests.chaos.random_faults import random_schedule
from tests.chaos.setup import Setup
from tests.chaos.topologies import links_of

SURVIVORS = (NodeId(0), NodeId(1), NodeId(2))
SETUP = Setup(shards=2, step_seconds=0.1, lives=32)
BATCH_TOURS, BATCH_FAULTS = 20.0, 6
WARM_UP_SHARE = 0.2  # of the samples: caches and allocators take their share first
# Pools of threads are filled as they are needed, the last places after hours: none is a leak, of
# which each batch would add some. A guess; in nine minutes one of three nodes had one more.
MAY_GROW = {"memory_bytes": 0.0, "descriptors": 4.0, "threads": 4.0}
OUTPUT = Path("runs") / "chaos" / "soak"
Samples = Mapping[NodeId, Sequence[Sample]]


def batch(conductor: Conductor, seed: int) -> Schedule:
    """Return the next faults: as any random schedule, but the survivors live and nobody leaves."""
    links = [(path.low, path.high) for path in links_of(conductor.company)]
    schedule = random_schedule(seed, SETUP.nodes, links, BATCH_TOURS, BATCH_FAULTS)
    return tuple(fault for fault in schedule if _may_happen(fault, conductor))


def _may_happen(fault: Fault, conductor: Conductor) -> bool:
    match fault:
        case Join() | Leave():
            return False
        case Kill(node=node) | Restart(node=node):
            lives_left = conductor.seen.begun[node].life + BATCH_FAULTS < SETUP.lives
            return node not in SURVIVORS and lives_left
        case _:
            return True


def soak(conductor: Conductor, seconds: float, seed: int) -> dict[NodeId, list[Sample]]:
    """Let faults happen for so long; return what the survivors took, whenever all was calm."""
    samples: dict[NodeId, list[Sample]] = {node: [] for node in SURVIVORS}
    conductor.start_all()
    conductor.await_visits(5)
    began = conductor.time
    with Progress(transient=True) as progress:
        task = progress.add_task("soak", total=seconds)
        while conductor.time < began + seconds:
            tour = tour_seconds(conductor.seen.arrivals)
            carry_out(conductor, batch(conductor, seed), tour)
            conductor.settle()
            seed += 1
            for node, taken in samples.items():
                taken.append(sample(conductor.processes[node].pid, conductor.time))
            progress.update(task, completed=conductor.time - began)
    conductor.finish()
    return samples


def growth_troubles(samples: Samples) -> list[str]:
    """Return what grows, in words."""
    troubles = []
    for node, taken in samples.items():
        later = taken[int(len(taken) * WARM_UP_SHARE) :]
        times = [each.at for each in later]
        for name, least in MAY_GROW.items():
            more = grows(times, [getattr(each, name) for each in later], least)
            if more:
                troubles.append(f"node {node}: {name} grew by {more:.0f}")
    return troubles


def write_samples(path: Path, samples: Samples, troubles: Sequence[str]) -> None:
    """Write all that was measured, as JSON."""
    rows = {str(node): [asdict(each) for each in taken] for node, taken in samples.items()}
    path.write_text(json.dumps({"samples": rows, "troubles": list(troubles)}, indent=2) + "\n")


def run(folder: Path, minutes: float, seed: int) -> tuple[Samples, list[str]]:
    """Soak; return what was measured, and what does not hold."""
    samples: Samples = {}
    with Conductor(SETUP, folder, lossy=True, small_disks=True, seed=seed) as conductor:
        try:
            samples = soak(conductor, minutes * 60, seed)
        except HangError as error:
            return samples, [str(error), *Audit(SETUP, conductor.journals).run().troubles]
    troubles = Audit(SETUP, conductor.journals).run().troubles
    troubles += end_troubles(SETUP, conductor.journals, conductor.staying)
    return samples, troubles + growth_troubles(samples)


def main() -> int:
    """Soak for as long as was asked; return 1 where something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    samples, troubles = run(OUTPUT.resolve(), asked.minutes, asked.seed)
    write_samples(OUTPUT / "samples.json", samples, troubles)
    console = Console()
    for node, taken in samples.items():
        for name in MAY_GROW:
            values = [getattr(each, name) for each in taken]
            console.print(f"node {node}: {name} {values[0]} first, {values[-1]} last")
    for trouble in troubles:
        console.print(trouble, style="bold red")
    console.print("passed" if not troubles else "failed")
    return int(bool(troubles))


if __name__ == "__main__":
    sys.exit(main())
