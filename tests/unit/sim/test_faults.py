"""Outages and absences are checked once, each on its own."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.sim.faults import Absence, Freeze, Loss, Outage, Slowdown


def refusal(make: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        make()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_links_are_down_in_both_directions() -> None:
    outage = Outage(start_seconds=0, end_seconds=1, links=((0, 1), (4, 2)))
    assert outage.cuts(0, 1)
    assert outage.cuts(1, 0)
    assert outage.cuts(2, 4)
    assert not outage.cuts(0, 2)


def test_nodes_are_parted_from_the_others_but_not_from_each_other() -> None:
    outage = Outage(start_seconds=0, end_seconds=1, nodes=(0, 1))
    assert outage.cuts(0, 2)
    assert outage.cuts(2, 1)
    assert not outage.cuts(0, 1)
    assert not outage.cuts(2, 3)


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_a_start_is_a_time(value: float) -> None:
    text = "start_seconds is {}: it must be a number of 0 or more"
    made = refusal(lambda: Outage(start_seconds=value, end_seconds=9, nodes=(1,)))
    assert made == "outages." + text.format(value)
    made = refusal(lambda: Absence(start_seconds=value, end_seconds=9, node=1))
    assert made == "absences." + text.format(value)


@pytest.mark.parametrize("value", [2.0, 1.0, math.nan, math.inf])
def test_an_end_is_after_the_start(value: float) -> None:
    text = refusal(lambda: Absence(start_seconds=2, end_seconds=value, node=1))
    assert text == f"absences.end_seconds is {value}: it must be a number above 2"


@pytest.mark.parametrize("which", [{}, {"links": ((0, 1),), "nodes": (0,)}])
def test_an_outage_is_of_either_links_or_nodes(which: dict[str, tuple[int, ...]]) -> None:
    text = refusal(lambda: Outage(start_seconds=0, end_seconds=1, **which))  # type: ignore[arg-type]
    assert text == "outages: each must have either links or nodes"


@pytest.mark.parametrize("ends", [(0,), (1, 1), (0, 1, 2)])
def test_a_link_has_two_ends(ends: tuple[int, int]) -> None:
    text = refusal(lambda: Outage(start_seconds=0, end_seconds=1, links=(ends,)))
    assert text == f"outages.links has {list(ends)}: it must be two different nodes"


@pytest.mark.parametrize("node", [-1, 1.5, "1", True])
def test_nodes_are_whole_numbers(node: int) -> None:
    shown = repr(node)
    words = "it must be a whole number of 0 or more"
    text = refusal(lambda: Outage(start_seconds=0, end_seconds=1, nodes=(node,)))
    assert text == f"outages.nodes is {shown}: {words}"
    text = refusal(lambda: Outage(start_seconds=0, end_seconds=1, links=((9, node),)))
    assert text == f"outages.links is {shown}: {words}"
    text = refusal(lambda: Absence(start_seconds=0, end_seconds=1, node=node))
    assert text == f"absences.node is {shown}: {words}"


def test_a_node_comes_back_with_or_without_state() -> None:
    assert Absence(start_seconds=0, end_seconds=1, node=1).with_state
    text = refusal(
        lambda: Absence(start_seconds=0, end_seconds=1, node=1, with_state="no")  # type: ignore[arg-type]
    )
    assert text == "absences.with_state is 'no': it must be true or false"


def test_a_node_may_be_killed() -> None:
    assert not Absence(start_seconds=0, end_seconds=1, node=1).killed
    text = refusal(
        lambda: Absence(start_seconds=0, end_seconds=1, node=1, killed=1)  # type: ignore[arg-type]
    )
    assert text == "absences.killed is 1: it must be true or false"


def test_a_freeze_is_of_a_node_for_a_time() -> None:
    words = "it must be a whole number of 0 or more"
    text = refusal(lambda: Freeze(start_seconds=0, end_seconds=1, node=-1))
    assert text == f"freezes.node is -1: {words}"
    text = refusal(lambda: Freeze(start_seconds=2, end_seconds=1, node=1))
    assert text == "freezes.end_seconds is 1: it must be a number above 2"


@pytest.mark.parametrize("factor", [0.5, 0, math.nan, math.inf])
def test_a_slow_node_is_not_faster(factor: float) -> None:
    text = refusal(lambda: Slowdown(start_seconds=0, end_seconds=1, node=1, factor=factor))
    assert text == f"slowdowns.factor is {factor}: it must be a number of 1 or more"


def test_losses_are_of_links_in_both_directions() -> None:
    loss = Loss(start_seconds=0, end_seconds=1, links=((0, 1),), share=0.5)
    assert loss.befalls(0, 1)
    assert loss.befalls(1, 0)
    assert not loss.befalls(0, 2)
    text = refusal(lambda: Loss(start_seconds=0, end_seconds=1, links=((1, 1),), share=0.5))
    assert text == "losses.links has [1, 1]: it must be two different nodes"
    text = refusal(lambda: Loss(start_seconds=0, end_seconds=1, links=((0, 1),), share=1.0))
    assert text == "losses.share is 1.0: it must be a number of 0 or more and below 1"
