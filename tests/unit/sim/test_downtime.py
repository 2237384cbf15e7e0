"""All faults of a network put together, by link and by node."""

from __future__ import annotations

import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.sim.downtime import Change, Downtime
from flwr_digest.sim.faults import Absence, Outage

LINE = {0: frozenset({1}), 1: frozenset({0, 2}), 2: frozenset({1})}


def outage(start: float, end: float, *links: tuple[int, int]) -> Outage:
    return Outage(start_seconds=start, end_seconds=end, links=links)


def test_without_faults_nothing_is_down() -> None:
    downtime = Downtime(LINE)
    assert downtime.of(0, 1) == ()
    assert downtime.is_present(0, 0.0)
    assert downtime.changes() == []


def test_spans_that_overlap_or_touch_are_joined() -> None:
    spans = [(6, 8), (0, 2), (1, 3), (3, 4), (6.5, 7)]
    downtime = Downtime(LINE, [outage(start, end, (0, 1)) for start, end in spans])
    assert downtime.of(0, 1) == downtime.of(1, 0) == ((0, 4), (6, 8))
    assert downtime.of(1, 2) == ()


def test_a_link_is_down_while_an_end_is_away() -> None:
    away = [
        Absence(node=0, start_seconds=0, end_seconds=2),
        Absence(node=1, start_seconds=1, end_seconds=5),
    ]
    downtime = Downtime(LINE, absences=away)
    assert downtime.of(0, 1) == ((0, 5),)
    assert downtime.of(1, 2) == ((1, 5),)


def test_changes_come_in_the_order_of_time_and_only_where_something_changes() -> None:
    downtime = Downtime(
        LINE,
        [outage(4, 6, (1, 0)), Outage(start_seconds=5, end_seconds=8, nodes=(0,))],
        [Absence(node=2, start_seconds=4, end_seconds=7)],
    )
    assert downtime.changes() == [
        Change(at_seconds=4, up=False, node=2),
        Change(at_seconds=4, up=False, link=(0, 1)),
        Change(at_seconds=4, up=False, link=(1, 2)),
        Change(at_seconds=7, up=True, node=2),
        Change(at_seconds=7, up=True, link=(1, 2)),
        Change(at_seconds=8, up=True, link=(0, 1)),
    ]


def test_without_a_topology_the_named_links_change() -> None:
    changes = Downtime(None, [outage(1, 2, (5, 3))]).changes()
    assert [(change.link, change.up) for change in changes] == [((3, 5), False), ((3, 5), True)]


@pytest.mark.parametrize("ends", [(0, 2), (7, 0)])
def test_an_outage_of_a_link_that_there_is_not_is_refused(ends: tuple[int, int]) -> None:
    with pytest.raises(ConfigError) as caught:
        Downtime(LINE, [outage(0, 1, ends)])
    assert str(caught.value) == f"outages.links has {list(ends)}: the topology has no such link"
