"""The built-in scenarios, and how they are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.sim.scenarios import SCENARIOS, load_scenario


def test_each_is_found_by_its_own_name() -> None:
    assert list(SCENARIOS) == [
        "digits-by-label-16",
        "digits-iid-16",
        "digits-by-label-64",
        "digits-iid-64",
        "digits-unequal-speed-16",
        "digits-mlp-by-label-16",
    ]
    for name, scenario in SCENARIOS.items():
        assert load_scenario(name) is scenario
        assert scenario.name == name
        assert len(scenario.summary) < 80


@pytest.mark.parametrize(("nodes", "width", "transfer"), [(16, 16, 2), (64, 8, 5)])
def test_with_labels_sorted_or_mixed_all_else_is_the_same(
    nodes: int, width: int, transfer: float
) -> None:
    sorted_ = load_scenario(f"digits-by-label-{nodes}")
    mixed = load_scenario(f"digits-iid-{nodes}")
    assert (sorted_.partition, mixed.partition) == ("by-label", "iid")
    for scenario in (sorted_, mixed):
        assert (scenario.nodes, scenario.batch_size) == (nodes, width)
        assert scenario.transfer_seconds == transfer
        assert scenario.topology == "small-world"


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        load_scenario("digits-by-lable-16")
    text = str(caught.value)
    assert text.startswith("scenario='digits-by-lable-16' is unknown: choose from ['digits-by-")
    assert text.endswith("or give the path of a .toml file; did you mean 'digits-by-label-16'?")


def test_a_toml_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "digits-iid-64"\nloss = 0.25\n', encoding="utf-8")
    for path in (file, str(file)):
        scenario = load_scenario(path)
        assert (scenario.name, scenario.nodes, scenario.loss) == ("mine", 64, 0.25)
