"""Scenarios in TOML files: what is wrong is told with the file and the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.sim.faults import Absence, Freeze, Loss, Outage, Slowdown
from flwr_digest.sim.scenario import Scenario
from flwr_digest.sim.scenario_file import read_scenario
from flwr_digest.sim.scenarios import SCENARIOS

FULL = """
name = "rough"
summary = "a bit of everything"
nodes = 4
partition = "iid"
topology = "complete"
learning_rate = 1
targets = [0.5, 0.25]

[[outages]]
start_seconds = 10
end_seconds = 20.5
links = [[0, 1], [2, 3]]

[[outages]]
start_seconds = 30
end_seconds = 40
nodes = [0, 1]

[[absences]]
node = 3
start_seconds = 5
end_seconds = 6
with_state = false
killed = true

[[freezes]]
node = 2
start_seconds = 7
end_seconds = 8

[[slowdowns]]
node = 1
start_seconds = 7
end_seconds = 9
factor = 12.5

[[losses]]
start_seconds = 1
end_seconds = 2
links = [[0, 3]]
share = 0.5
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


def read(file: Path, text: str) -> Scenario:
    file.write_text(text, encoding="utf-8")
    return read_scenario(file, SCENARIOS)


def refusal(file: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(file, text)
    found = str(caught.value)
    assert "\n" not in found
    assert found.startswith(f"{file}: ")
    return found.removeprefix(f"{file}: ")


def test_every_kind_of_field_is_understood(file: Path) -> None:
    assert read(file, FULL) == Scenario(
        name="rough",
        summary="a bit of everything",
        nodes=4,
        partition="iid",
        topology="complete",
        learning_rate=1,
        targets=(0.5, 0.25),
        outages=(
            Outage(start_seconds=10, end_seconds=20.5, links=((0, 1), (2, 3))),
            Outage(start_seconds=30, end_seconds=40, nodes=(0, 1)),
        ),
        absences=(Absence(node=3, start_seconds=5, end_seconds=6, with_state=False, killed=True),),
        freezes=(Freeze(node=2, start_seconds=7, end_seconds=8),),
        slowdowns=(Slowdown(node=1, start_seconds=7, end_seconds=9, factor=12.5),),
        losses=(Loss(start_seconds=1, end_seconds=2, links=((0, 3),), share=0.5),),
    )


def test_an_empty_file_is_the_defaults_by_the_name_of_the_file(file: Path) -> None:
    assert read(file, "") == Scenario(name="mine")


def test_a_base_gives_all_that_the_file_does_not_say(file: Path) -> None:
    scenario = read(file, 'base = "digits-iid-64"\nsteps = 10\n')
    base = SCENARIOS["digits-iid-64"]
    assert (scenario.name, scenario.steps) == ("mine", 10)
    assert (scenario.nodes, scenario.partition) == (base.nodes, base.partition)


def test_an_unknown_base_is_told_the_nearest(file: Path) -> None:
    text = refusal(file, 'base = "digits-idd-64"')
    assert text.startswith("base='digits-idd-64' is unknown: ")
    assert text.endswith("did you mean 'digits-iid-64'?")


def test_an_unknown_key_is_told_the_nearest(file: Path) -> None:
    text = refusal(file, "learning_rat = 1")
    assert text == "learning_rat is not a key that a scenario has; did you mean 'learning_rate'?"
    text = refusal(file, "[[absences]]\nnod = 1")
    assert text == "absences.nod is not a key that a scenario has; did you mean 'node'?"


def test_a_key_near_none_is_told_all(file: Path) -> None:
    text = refusal(file, "[[absences]]\nxyz = 1")
    assert text == (
        "absences.xyz is not a key that a scenario has; choose from "
        "['end_seconds', 'killed', 'node', 'start_seconds', 'with_state']"
    )


def test_what_a_fault_needs_must_be_there(file: Path) -> None:
    text = refusal(file, "[[absences]]\nnode = 1\nstart_seconds = 0")
    assert text == "absences.end_seconds is missing: each of the absences needs it"


@pytest.mark.parametrize("value", ["3", "[1]", '"3"', "{node = 1}"])
@pytest.mark.parametrize("field", ["outages", "absences", "freezes", "slowdowns", "losses"])
def test_faults_are_arrays_of_tables(file: Path, field: str, value: str) -> None:
    assert refusal(file, f"{field} = {value}") == f"{field} must be an array of tables: [[{field}]]"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("learning_rate = nan", "learning_rate is nan: it must be a number above 0"),
        ('nodes = "16"', "nodes is '16': it must be a whole number of 1 or more"),
        ("nodes = 16.0", "nodes is 16.0: it must be a whole number of 1 or more"),
        ("name = 3", "name is 3: it must be a text that is not empty"),
        ("topology = 3", "topology is 3: it must be a text that is not empty"),
        ("targets = 0.1", "targets is 0.1: it must be an array of at least one number"),
        ("targets = []", "targets is (): it must be an array of at least one number"),
        ('targets = ["a"]', "targets is 'a': it must be a number above 0"),
        ("nodes = [3]", "nodes is (3,): it must be a whole number of 1 or more"),
    ],
)
def test_a_wrong_value_is_named(file: Path, line: str, text: str) -> None:
    assert refusal(file, line) == text


@pytest.mark.parametrize("value", ["3", "[3]", "true", '"0-1"'])
@pytest.mark.parametrize("field", ["links", "nodes"])
def test_wrong_links_and_nodes_are_named(file: Path, field: str, value: str) -> None:
    fault = f"[[outages]]\nstart_seconds = 0\nend_seconds = 1\n{field} = {value}\n"
    if (field, value) == ("nodes", "[3]"):
        assert read(file, fault).outages[0].nodes == (3,)
    else:
        assert refusal(file, fault).startswith(f"outages.{field} is ")


def test_what_is_no_toml_is_refused(file: Path) -> None:
    assert refusal(file, "nodes == 3").startswith("the file is not TOML: ")


def test_what_is_no_text_is_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"mine\.toml: the file is not UTF-8, as TOML must be$"):
        read_scenario(file, SCENARIOS)


def test_a_missing_file_is_refused(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_scenario(file, SCENARIOS)
    assert str(caught.value) == f"{file}: the file cannot be read: No such file or directory"
