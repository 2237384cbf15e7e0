"""One of 8 nodes sleeps 12 s in each local step: real SuperNodes, with it and without, in turn.

Nobody can make up for a node that makes no steps: the other seven bring seven eighths of the work,
each with its weight of an eighth, so with short steps they need up to 8/7 of the time. With a
learning rate that is neither too small nor too large that hardly shows. So the others are asked for
the same accuracy after 5 % more than the usual time, give or take what an accuracy over 1,572
digits varies by; how long exactly they took is a figure beside it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import numpy.typing as npt

from flwr_digest.errors import DigestError
from flwr_digest.launch import SuperLink, SuperNodes, run_app
from tests.chaos.figures import Figures
from tests.chaos.result import Result

APP = Path(__file__).parent / "straggler_app"
NODES = 8
STRAGGLER = NODES - 1
NOBODY = -1
REPEATS = 3
LEAST_SPEED = 0.95  # of the others' usual local steps a second
MOST_TIME = 1.05  # of the usual time to the same accuracy
TARGET = 0.98  # usually reached after a third of the round
SAME = 0.005  # accuracies that differ by less are the same: 1.4 deviations of one over 1,572 digits
FEDAVG_STEPS = 10  # of a round of FedAvg: two minutes with the straggler
MOST_SECONDS = 900.0  # past that something hangs: a run takes a minute or two

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What the seven nodes that are never slow have told of a run, and the ServerApp.

    Attributes
    ----------
    steps_per_second : float
        Mean over the nodes.
    seconds, accuracy : array
        Their mean accuracy on all that they see, and when it was that, from the first step on;
        shape ``[looks]`` each. Empty in a run too short to look.
    last : float
        The worst accuracy at the end of the round.
    job_seconds : float
        From the first message to the end of the round.
    straggler_steps : int
        How many local steps the eighth node has made.
    totals : dict of str to float
        The round's metrics.
    """

    steps_per_second: float
    seconds: Floats
    accuracy: Floats
    last: float
    job_seconds: float
    straggler_steps: int
    totals: dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Straggler:
    """Runs with a node that sleeps in each step beside runs without; FedAvg once beside them.

    Attributes
    ----------
    name : str
        What the scenario is called.
    repeats : int
        How many runs of each kind.
    """

    name: str = "straggler-12s"
    repeats: int = REPEATS

    def run(self, folder: Path) -> Result:
        """Carry them out, one after the other."""
        usual: list[Told] = []
        slowed: list[Told] = []
        figures: Figures = {}
        troubles: list[str] = []
        superlink = SuperLink(simulation=False, log_dir=folder)
        try:
            with superlink, SuperNodes(superlink, count=NODES):
                for seed in range(self.repeats):
                    usual.append(_run(superlink, folder / f"usual-{seed}", NOBODY, seed=seed))
                    with_it = folder / f"straggler-{seed}"
                    slowed.append(_run(superlink, with_it, STRAGGLER, seed=seed))
                figures = _compared(usual, slowed) | _fedavg(superlink, folder)
            troubles = _troubles(figures)
        except DigestError as error:
            troubles.append(" ".join(str(error).split()))
        if superlink.leftover_processes():
            troubles.append("processes are left")
        return Result(
            scenario=self.name,
            passed=not troubles,
            double_counted=0,
            forfeited=_total(slowed, "digest-forfeited-steps"),
            reissued=_total(slowed, "digest-reissues"),
            figures=figures,
            failure="; ".join(troubles),
        )


def _run(superlink: SuperLink, folder: Path, straggler: int, **config: int | str) -> Told:
    """Run the app, with a straggler or without."""
    folder.mkdir()
    run_app(
        superlink,
        APP,
        name=folder.name,
        run_config={"nodes": NODES, "straggler": straggler, "results": str(folder), **config},
        timeout_seconds=MOST_SECONDS,
    )
    told = [_read(folder / f"node-{node}.json") for node in range(NODES)]
    others = [told[node] for node in range(NODES) if node != STRAGGLER]
    totals = _read(folder / "round.json")
    looks = min(len(each["curve"]) for each in others)
    curves = np.array([each["curve"][:looks] for each in others]).reshape(len(others), looks, 2)
    seconds, accuracy = curves.mean(axis=0).T
    return Told(
        steps_per_second=mean(each["steps"] / each["seconds"] for each in others),
        seconds=seconds,
        accuracy=accuracy,
        last=min(each["last"] for each in others),
        job_seconds=totals["seconds"],
        straggler_steps=told[STRAGGLER]["steps"],
        totals=totals,
    )


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _fedavg(superlink: SuperLink, folder: Path) -> Figures:
    """Return how many local steps a second the seven make in a round of FedAvg."""
    figures: Figures = {}
    for name, straggler in (("usually", NOBODY), ("with_straggler", STRAGGLER)):
        config: dict[str, int | str] = {"method": "fedavg", "local-steps": FEDAVG_STEPS}
        told = _run(superlink, folder / f"fedavg-{name}", straggler, **config)
        figures[f"fedavg_steps_per_second_{name}"] = round(FEDAVG_STEPS / told.job_seconds, 3)
    return figures


def _compared(usual: list[Told], slowed: list[Told]) -> Figures:
    """Return the medians of both kinds of runs, and how they compare."""
    figures: Figures = {}
    for name, runs in (("usually", usual), ("with_straggler", slowed)):
        figures[f"steps_per_second_{name}"] = round(median(r.steps_per_second for r in runs), 2)
        figures[f"seconds_to_target_{name}"] = round(_reached(runs), 2)
        figures[f"accuracy_at_end_{name}"] = round(median(r.last for r in runs), 4)
        figures[f"job_seconds_{name}"] = round(median(r.job_seconds for r in runs), 1)
        silence = median(r.totals["digest-longest-silence-seconds"] for r in runs)
        figures[f"longest_silence_seconds_{name}"] = round(silence, 2)
        figures[f"hops_{name}"] = median(r.totals["digest-hops"] for r in runs)
    figures["straggler_steps"] = median(r.straggler_steps for r in slowed)
    for name in ("steps_per_second", "seconds_to_target"):
        ratio = float(figures[f"{name}_with_straggler"]) / float(figures[f"{name}_usually"])
        figures[f"{name}_ratio"] = round(ratio, 3)
    late = MOST_TIME * _reached(usual)
    figures["accuracy_at_105_percent_of_the_time"] = round(_accuracy_at(slowed, late), 4)
    return figures


def _mean_curve(runs: list[Told]) -> tuple[Floats, Floats]:
    """Return the mean of the runs' curves: one alone goes up and down by as much as is compared."""
    looks = min(len(run.seconds) for run in runs)
    seconds = np.mean([run.seconds[:looks] for run in runs], axis=0)
    return seconds, np.mean([run.accuracy[:looks] for run in runs], axis=0)


def _reached(runs: list[Told]) -> float:
    """Return after how many seconds the seven have the target accuracy, in the mean of the runs.

    Raises
    ------
    DigestError
        They never have.
    """
    seconds, accuracy = _mean_curve(runs)
    best = np.maximum.accumulate(accuracy)
    if best[-1] < TARGET:
        raise DigestError(f"accuracy {best[-1]:.4f} at most, though {TARGET} is to be reached")
    return float(np.interp(TARGET, best, seconds))


def _accuracy_at(runs: list[Told], seconds: float) -> float:
    """Return the best accuracy that the seven had by then, in the mean of the runs."""
    times, accuracy = _mean_curve(runs)
    return float(np.interp(seconds, times, np.maximum.accumulate(accuracy)))


def _total(runs: list[Told], name: str) -> int:
    return sum(int(run.totals[name]) for run in runs)


def _troubles(figures: Figures) -> list[str]:
    troubles = []
    if float(figures["steps_per_second_ratio"]) < LEAST_SPEED:
        troubles.append(f"the others were slowed down: {figures['steps_per_second_ratio']}")
    found = float(figures["accuracy_at_105_percent_of_the_time"])
    if found < TARGET - SAME:
        troubles.append(f"they learned later: {found} at {MOST_TIME} of the usual time")
    return troubles
