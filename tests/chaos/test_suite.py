"""The suite itself: what it runs, what it writes, and what it says of a failure."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from tests.chaos.__main__ import chosen, run_all
from tests.chaos.agenda import deeds_of
from tests.chaos.conductor import Conductor
from tests.chaos.faults import KillServerApp, Part, Slow
from tests.chaos.figures import longest_silence, tours_of
from tests.chaos.following import Journals
from tests.chaos.journal import Copy
from tests.chaos.registry import Runnable
from tests.chaos.result import Result
from tests.chaos.scenario import Scenario
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.setup import Setup
from tests.chaos.summary import figures_of, table_of
from tests.chaos.topologies import between


@dataclass(frozen=True)
class Made:
    """A scenario that does nothing."""

    name: str
    failure: str = ""

    def run(self, folder: Path) -> Result:
        assert list(folder.iterdir()) == []
        (folder / "left").touch()
        return self.result

    @property
    def result(self) -> Result:
        return Result(
            scenario=self.name,
            passed=not self.failure,
            double_counted=0,
            forfeited=0,
            reissued=2,
            figures={"tour_seconds": 0.5},
            failure=self.failure,
        )


def printed(table: object) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def copy(at: float, node: int, hop: int, **changes: object) -> Copy:
    fields = {
        "at": at,
        "node": node,
        "life": 1,
        "made": 0,
        "known": 0,
        "stream": 0,
        "order": [1, 0, hop],
        "visits": [[node, 1, hop, hop, 0]],
        "model": [],
        **changes,
    }
    return Copy(**fields)  # type: ignore[arg-type]


# --- what it runs, and what it leaves -------------------------------------------------------------


def test_all_results_are_written_whatever_they_are(tmp_path: Path) -> None:
    scenarios: list[Runnable] = [Made("good"), Made("bad", "node 1 hangs")]
    for _ in range(2):  # the second time over what the first has left
        results = run_all(scenarios, Console(file=io.StringIO()), tmp_path)

    assert [result.passed for result in results] == [True, False]
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "results": [
            {
                "scenario": name,
                "passed": not failure,
                "double_counted": 0,
                "forfeited": 0,
                "reissued": 2,
                "figures": {"tour_seconds": 0.5},
                "failure": failure,
            }
            for name, failure in (("good", ""), ("bad", "node 1 hangs"))
        ]
    }


def test_the_tables_say_what_failed_and_why() -> None:
    results = [Made("good").result, Made("bad", "node 1 hangs").result]

    assert printed(table_of(results)).count("NO") == 1
    figures = printed(figures_of(results))
    assert "node 1 hangs" in figures
    assert "tour seconds 0.5" in figures


def test_names_are_unique_and_a_wrong_one_is_answered_with_a_near_one() -> None:
    names = [scenario.name for scenario in chosen([], None)]
    assert len(set(names)) == len(names)
    assert [scenario.name for scenario in chosen(["full-disk"], None)] == ["full-disk"]
    with pytest.raises(SystemExit, match="no such scenario; near: full-disk"):
        chosen(["full-disc"], None)


def test_another_seed_brings_other_schedules() -> None:
    more = chosen(["random-1007"], 1000)
    assert len(more) == 1
    assert isinstance(more[0], Scenario)
    assert more[0].schedule


def test_every_scenario_is_of_nodes_that_there_are() -> None:
    for scenario in SCENARIOS:
        for fault in scenario.schedule:
            node = getattr(fault, "node", 0)
            assert 0 <= node < scenario.setup.nodes, (scenario.name, fault)


# --- faults ---------------------------------------------------------------------------------------


def test_a_fault_comes_with_what_undoes_it(tmp_path: Path) -> None:
    with Conductor(Setup(nodes=4), tmp_path, proxies=True) as conductor:
        slow = list(deeds_of(conductor, Slow(at=2.0, node=1, factor=3.0, seconds=4.0)))
        part = list(deeds_of(conductor, Part(at=1.0, nodes=frozenset({0}), seconds=0.5)))
        cables = between(conductor.company, frozenset({0}))
        with pytest.raises(ValueError, match="befalls Flower's processes"):
            list(deeds_of(conductor, KillServerApp(at=1.0)))

    assert [at for at, _ in slow] == [2.0, 6.0]
    assert [at for at, _ in part] == [1.0, 1.5]
    assert cables
    assert all(0 in path for path in cables)


# --- what journals tell ---------------------------------------------------------------------------


def test_a_stream_arrives_once_however_many_lines_tell_of_it() -> None:
    seen = Journals()
    for line in (
        copy(1.0, 0, 1, held=True),  # it starts here
        copy(2.0, 0, 2, to=1),
        copy(2.1, 0, 2),
        copy(2.0, 1, 0, visits=[]),  # node 1 begins
        copy(3.0, 1, 3, to=0),  # it came, and left at once
        copy(3.1, 1, 3),
        copy(5.0, 0, 4, held=True),
    ):
        seen.take(line)

    assert [(line.at, line.node) for line in seen.arrivals] == [(1.0, 0), (3.0, 1), (5.0, 0)]
    assert seen.holder(0) == 0
    assert tours_of(seen.arrivals) == [4.0]
    assert longest_silence(seen.arrivals) == 2.0


def test_while_a_stream_is_on_its_way_nobody_has_it() -> None:
    seen = Journals()
    seen.take(copy(1.0, 0, 1, held=True))
    seen.take(copy(2.0, 0, 2, to=1))
    assert seen.holder(0) is None
    assert seen.holders(0) == []
