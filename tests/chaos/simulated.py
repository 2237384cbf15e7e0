"""Random schedules with all faults in the simulator: hundreds of sessions, audited step by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.chaos.faults import Schedule
from tests.chaos.figures import Figures
from tests.chaos.result import Result
from tests.chaos.simulated_audit import GIVEN_UP
from tests.chaos.simulated_case import SESSION_SECONDS, Case, random_case
from tests.chaos.simulated_session import HangError, Session
from tests.chaos.simulated_shrink import shrunk

RUNS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What has come of one session.

    Attributes
    ----------
    case : Case
        The session.
    failure : str
        What did not hold; empty where all did.
    hangs, double_counts : bool
        Whether that was a hang, or a step counted twice.
    counters : Counter of str
        Of all nodes and lives.
    events, copies : int
        How many were audited.
    silence_tours : float
        The longest time that a stream came to no node, in its usual tours.
    end_seconds : float
        How long after the last local step the last node had seen the end.
    """

    case: Case
    failure: str
    hangs: bool
    double_counts: bool
    counters: Counter[str]
    events: int
    copies: int
    silence_tours: float
    end_seconds: float


def outcome_of(case: Case) -> Outcome:
    """Return what comes of a session; what does not hold is told, not raised."""
    session, failure, hangs = Session(case), "", False
    try:
        session.run()
    except AssertionError as error:
        failure, hangs = f"seed {case.seed}: {error}", isinstance(error, HangError)
    audit = session.audit
    ended = session.ended_seconds
    return Outcome(
        case=case,
        failure=failure,
        hangs=hangs,
        double_counts=bool(failure) and not hangs and "counted twice" in failure,
        counters=audit.counters,
        events=audit.events,
        copies=audit.copies,
        silence_tours=audit.longest_silence_seconds() / audit.tour_seconds(),
        end_seconds=0.0 if ended is None else ended - max(case.finishes),
    )


def smallest_failing(case: Case) -> Schedule:
    """Return as few of a failing session's faults as it takes for it to fail."""
    return shrunk(
        case.schedule, lambda schedule: bool(outcome_of(replace(case, schedule=schedule)).failure)
    )


def result_of(name: str, outcomes: Iterable[Outcome]) -> Result:
    """Return what many sessions have shown together."""
    all_outcomes = list(outcomes)
    counters: Counter[str] = sum((each.counters for each in all_outcomes), Counter())
    failures = [each.failure for each in all_outcomes if each.failure]
    figures: Figures = {
        "runs": len(all_outcomes),
        "hangs": sum(each.hangs for each in all_outcomes),
        "faults": sum(len(each.case.schedule) for each in all_outcomes),
        "events_audited": sum(each.events for each in all_outcomes),
        "copies_audited": sum(each.copies for each in all_outcomes),
        "runs_with_forfeits": sum(any(o.counters[n] for n in GIVEN_UP) for o in all_outcomes),
        "longest_silence_tours": round(max(each.silence_tours for each in all_outcomes), 1),
        "longest_end_seconds": round(max(each.end_seconds for each in all_outcomes)),
    }
    return Result(
        scenario=name,
        passed=not failures,
        double_counted=sum(each.double_counts for each in all_outcomes),
        forfeited=counters["forfeited_steps"],
        reissued=counters["reissues"],
        figures=figures,
        failure=failures[0] if failures else "",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulated:
    """Sessions of consecutive seeds in the simulator.

    Attributes
    ----------
    runs : int
        How many.
    seed : int
        That of the first.
    seconds : float
        How long nodes train, in simulated seconds.
    name : str
        What the scenario is called.
    """

    runs: int = RUNS
    seed: int = 0
    seconds: float = SESSION_SECONDS
    name: str = "simulated-random"

    def run(self, folder: Path) -> Result:
        """Run them all; the smallest schedule of each that fails is written to `folder`."""
        outcomes = []
        for seed in range(self.seed, self.seed + self.runs):
            outcomes.append(outcome_of(random_case(seed, self.seconds)))
            if outcomes[-1].failure:
                few = "\n".join(map(str, smallest_failing(outcomes[-1].case)))
                (folder / f"seed-{seed}.txt").write_text(f"{outcomes[-1].failure}\n{few}\n")
        return result_of(self.name, outcomes)


SCENARIOS = [Simulated()]
