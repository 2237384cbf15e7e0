"""Flower's own processes are killed in the middle of a round; a node is very slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.flower_scenarios import SCENARIOS

pytestmark = [pytest.mark.flower, pytest.mark.slow]
BY_NAME = {each.name: each for each in SCENARIOS}


def check(name: str, folder: Path) -> None:
    result = BY_NAME[name].run(folder)
    assert result.passed, result


def test_the_superlink_is_killed_and_the_nodes_finish_and_keep_their_models(tmp_path: Path) -> None:
    check("superlink-killed", tmp_path)


@pytest.mark.exhaustive
def test_the_serverapp_is_killed_and_the_nodes_finish_and_keep_their_models(tmp_path: Path) -> None:
    check("serverapp-killed", tmp_path)


@pytest.mark.exhaustive
def test_a_node_that_sleeps_in_each_step_holds_up_nobody(tmp_path: Path) -> None:
    check("straggler-12s", tmp_path)


@pytest.mark.exhaustive
def test_a_supernode_and_a_clientapp_are_killed_and_each_step_is_counted_once(
    tmp_path: Path,
) -> None:
    check("supernode-and-clientapp-killed", tmp_path)
