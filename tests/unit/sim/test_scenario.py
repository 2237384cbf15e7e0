"""A scenario is checked once; each refusal is one clear line."""

from __future__ import annotations

import math
from typing import Any

import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.sim.faults import Absence, Freeze, Loss, Outage, Slowdown
from flwr_digest.sim.scenario import Scenario


def scenario(**fields: Any) -> Scenario:  # noqa: ANN401
    return Scenario(**({"name": "mine"} | fields))


def refusal(**fields: object) -> str:
    with pytest.raises(ConfigError) as caught:
        scenario(**fields)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("value", [0, -0.5, math.nan, math.inf])
@pytest.mark.parametrize("field", ["learning_rate", "alpha", "steps", "step_seconds"])
def test_what_must_be_positive(field: str, value: float) -> None:
    assert refusal(**{field: value}) == f"{field} is {value}: it must be a number above 0"


@pytest.mark.parametrize("value", [-0.5, math.nan, math.inf])
@pytest.mark.parametrize(
    "field",
    [
        "regularization",
        "size_spread",
        "decay",
        "speed_spread",
        "stall_seconds",
        "transfer_seconds",
        "latency_seconds",
    ],
)
def test_what_must_not_be_negative(field: str, value: float) -> None:
    assert refusal(**{field: value}) == f"{field} is {value}: it must be a number of 0 or more"
    assert getattr(scenario(**{field: 0}), field) == 0


@pytest.mark.parametrize("value", [-0.1, 1, math.nan])
@pytest.mark.parametrize("field", ["loss", "stall_probability"])
def test_what_must_be_a_chance(field: str, value: float) -> None:
    words = "it must be a number of 0 or more and below 1"
    assert refusal(**{field: value}) == f"{field} is {value}: {words}"


@pytest.mark.parametrize("value", [0, -1, 2.0, "2", True])
@pytest.mark.parametrize("field", ["hidden", "nodes", "batch_size", "measurements"])
def test_what_must_be_a_count(field: str, value: object) -> None:
    words = "it must be a whole number of 1 or more"
    assert refusal(**{field: value}) == f"{field} is {value!r}: {words}"


@pytest.mark.parametrize(
    ("field", "value", "near"),
    [
        ("dataset", "digit", "digits"),
        ("model", "soft-max", "softmax"),
        ("partition", "by-lable", "by-label"),
        ("weighting", "by_size", "by-size"),
        ("compute", "exponentiel", "exponential"),
        ("topology", "smallworld", "small-world"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(field: str, value: str, near: str) -> None:
    text = refusal(**{field: value})
    assert text.startswith(f"{field}={value!r} is unknown: choose from [")
    assert text.endswith(f"; did you mean {near!r}?")


@pytest.mark.parametrize("field", ["name", "summary", "topology"])
@pytest.mark.parametrize("value", ["", 3])
def test_what_must_be_a_text(field: str, value: object) -> None:
    words = "it must be a text that is not empty"
    assert refusal(**{field: value}) == f"{field} is {value!r}: {words}"


def test_targets_are_numbers_above_zero() -> None:
    assert refusal(targets=()) == "targets is (): it must be an array of at least one number"
    assert refusal(targets=(0.1, 0)) == "targets is 0: it must be a number above 0"


def test_faults_are_of_nodes_that_there_are() -> None:
    by_node = Outage(start_seconds=0, end_seconds=1, nodes=(15, 16))
    by_link = Outage(start_seconds=0, end_seconds=1, links=((0, 99),))
    away = Absence(start_seconds=0, end_seconds=1, node=16)
    assert refusal(outages=(by_node,)) == "outages names node 16: the nodes are 0 to 15"
    assert refusal(outages=(by_link,)) == "outages names node 99: the nodes are 0 to 15"
    assert refusal(absences=(away,)) == "absences names node 16: the nodes are 0 to 15"


def test_absences_of_a_node_lie_apart() -> None:
    first = Absence(start_seconds=0, end_seconds=5, node=1)
    for start in (3, 5):
        second = Absence(start_seconds=start, end_seconds=9, node=1)
        text = refusal(absences=(second, first))
        assert text == "absences of node 1 overlap: they must lie apart"
    other = Absence(start_seconds=3, end_seconds=9, node=2)
    later = Absence(start_seconds=6, end_seconds=9, node=1)
    assert len(scenario(absences=(first, other, later)).absences) == 3


def test_each_kind_of_fault_is_of_nodes_that_there_are() -> None:
    span = {"start_seconds": 0, "end_seconds": 1}
    frozen, slow = Freeze(node=16, **span), Slowdown(node=17, factor=2, **span)
    lossy = Loss(links=((0, 18),), share=0.5, **span)
    assert refusal(freezes=(frozen,)) == "freezes names node 16: the nodes are 0 to 15"
    assert refusal(slowdowns=(slow,)) == "slowdowns names node 17: the nodes are 0 to 15"
    assert refusal(losses=(lossy,)) == "losses names node 18: the nodes are 0 to 15"


def test_a_node_is_not_frozen_while_it_is_away_nor_slow_in_two_ways() -> None:
    away = Absence(start_seconds=0, end_seconds=5, node=1)
    frozen = Freeze(start_seconds=4, end_seconds=6, node=1)
    text = refusal(absences=(away,), freezes=(frozen,))
    assert text == "absences and freezes of node 1 overlap: they must lie apart"
    slow = Slowdown(start_seconds=0, end_seconds=5, node=1, factor=2)
    slower = Slowdown(start_seconds=4, end_seconds=6, node=1, factor=3)
    text = refusal(slowdowns=(slow, slower))
    assert text == "slowdowns of node 1 overlap: they must lie apart"
    assert scenario(absences=(away,), slowdowns=(slow,)).slowdowns == (slow,)


def test_the_seconds_are_the_steps_at_their_mean_length() -> None:
    assert scenario(steps=100, step_seconds=0.5).seconds == 50


def test_the_learning_rate_decays_by_mean_local_steps() -> None:
    decaying = scenario(learning_rate=0.5, decay=0.01, step_seconds=2)
    assert decaying.learning_rate_at(0) == 0.5
    assert decaying.learning_rate_at(200) == 0.25
    assert decaying.learning_rate_at(200, learning_rate=1.0) == 0.5
    assert scenario(learning_rate=0.5).learning_rate_at(1e9) == 0.5
