"""Nodes in processes of their own that are killed in a session and come back into it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from flwr_digest.core.ids import NodeId
from flwr_digest.core.invariants import TOLERANCE_STEPS
from flwr_digest.core.stream import Stream
from tests.support.overlay_child import Errand, Moment, company_of
from tests.support.overlay_session import LIFE, MOST_SECONDS, STREAM, Company, Member, eventually

COUNT = 4  # a power of two: weights are exact in float32, and so are sums of unit steps
ROOT = Path(__file__).parents[2]
ROUNDS = 4  # of a process that is not killed
MOST_ROUNDS = 1000  # of the others: some seconds, then they relay


def run(errand: Errand) -> list[dict[str, Any]]:
    """Run a node to its end, whichever; return what it has said."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.overlay_child", errand.to_json()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
        check=False,
    )
    wanted = 0 if errand.moment is None else -signal.SIGKILL
    assert done.returncode == wanted, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


class Steady(Member):
    """A node that trains until it is told to finish."""

    over: Event

    def _train(self) -> None:
        self.session.await_neighbors(self.join_seconds)
        for _ in range(MOST_ROUNDS):
            if self.over.is_set():
                break
            seen = self.trainer.visits
            for _ in range(self.steps):
                self.trainer.step()
            self.trainer.await_visit(seen)
        assert self.over.wait(MOST_SECONDS)
        self.session.finish_training()
        self.session.check()


def live_through(
    folder: Path, node: int, share: float, moments: list[Moment]
) -> tuple[Company, list[list[Any]]]:
    """Let all nodes but one run here, and that one be killed at each of the moments.

    Returns
    -------
    tuple
        The company after the session, and what each process of that one node has said.
    """
    company, over = company_of(COUNT, folder), Event()
    for other in company.nodes:
        if other != node:
            member = company.add(other)
            steady = Steady(
                session=member.session,
                trainer=member.trainer,
                rounds=0,
                steps=2,
                join_seconds=MOST_SECONDS,
            )
            steady.over = over
            company.members[other] = steady
    errand = Errand(node=node, count=COUNT, folder=str(folder), share=share, life=LIFE)
    with company.running():
        try:
            said = [run(replace(errand, moment=moment, visits=5)) for moment in moments]
            assert eventually(lambda: unlinked(company, NodeId(node)), MOST_SECONDS)
            last = Thread(target=lambda: said.append(run(replace(errand, rounds=ROUNDS))))
            last.start()
            assert eventually(lambda: linked(company, NodeId(node)), MOST_SECONDS)
        finally:
            over.set()
        last.join(MOST_SECONDS)
    return company, said


def linked(company: Company, node: NodeId) -> bool:
    return all(node in company.members[n].session.driver.links for n in company.graph[node])


def unlinked(company: Company, node: NodeId) -> bool:
    """Whether all neighbors have seen that the killed process is gone."""
    return not any(node in company.members[n].session.driver.links for n in company.graph[node])


def newest(company: Company) -> Stream:
    states = [member.session.final_states[STREAM] for member in company.members.values()]
    return max((state.kept for state in states), key=lambda kept: kept.order)


def check_others(company: Company, copy: Stream) -> None:
    """Check that all work of those that were not killed is in the copy, once."""
    for other, member in company.members.items():
        assert member.error is None, repr(member.error)
        assert member.report.ending == "the session closed"
        assert member.report.totals()["forfeited_steps"] == 0
        made = company.work.made[other, LIFE]
        assert company.work.contained(copy, other, LIFE) == pytest.approx(made)


@pytest.mark.parametrize("node", [0, 1])  # where the stream starts, and another
def test_whenever_a_node_is_killed_what_it_had_saved_is_in_the_stream_once(
    folder: Path, node: int
) -> None:
    company, said = live_through(folder, node, share=1.0, moments=list(Moment))

    saved = 0
    for process in said:
        begun, *visits = process
        assert begun == {"life": LIFE, "known": saved}  # it goes on from what was saved last
        saved = max(visit["steps"] for visit in visits)
    end = said[-1][-1]
    assert end["ending"] == "the session closed"
    assert end["forfeited"] == 0
    assert end["steps"] == said[-1][0]["known"] + end["made"]
    copy = newest(company)
    check_others(company, copy)
    assert copy.last_visit(NodeId(node)).steps == end["steps"]
    assert company.work.contained(copy, NodeId(node), LIFE) == pytest.approx(end["steps"])


def test_a_node_that_was_killed_behind_its_file_counts_nothing_twice(folder: Path) -> None:
    node = NodeId(1)
    company, said = live_through(folder, node, share=0.0, moments=[Moment.TOLD, Moment.SAVED])

    lives = [process[0]["life"] for process in said]
    assert lives == [LIFE, LIFE + 1, LIFE + 2]
    for life in lives[1:]:
        company.work.begin(node, life)  # as those processes did
    copy = newest(company)
    check_others(company, copy)
    for life, process in zip(lives, said, strict=True):
        contained = company.work.contained(copy, node, life)
        given = max(visit.get("steps", 0) for visit in process[1:])
        assert contained == pytest.approx(round(contained))
        assert contained <= given + TOLERANCE_STEPS
    assert contained == pytest.approx(said[-1][-1]["made"])
