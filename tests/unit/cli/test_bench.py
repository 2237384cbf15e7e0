"""`flwr-digest bench simulator`, small."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")

from tests.unit.cli.conftest import Command

SMALL = ("--nodes", "2,3", "--steps", "10", "--repeats", "1")


def test_json_has_an_entry_for_each_number_of_nodes(command: Command) -> None:
    ended = command("bench", "simulator", *SMALL, "--json")
    document = json.loads(ended.out)

    assert ended.code == 0
    assert list(document) == ["results"]
    assert [each["nodes"] for each in document["results"]] == [2, 3]
    for each in document["results"]:
        assert set(each) == {
            "nodes",
            "node_steps_per_second",
            "over_module_loop",
            "over_batched_bound",
        }
        assert all(value > 0 for value in each.values())


def test_the_table_says_what_is_compared(command: Command) -> None:
    ended = command("bench", "simulator", *SMALL)

    assert ended.code == 0
    assert "DIGEST in the simulator" in ended.out
    assert "over modules" in ended.out
