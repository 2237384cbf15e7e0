"""How old news is: the mean over nodes of when what they brought was new."""

from __future__ import annotations

import pytest

from flwr_digest.core.news import NO_NEWS, News, news_of_others
from flwr_digest.core.stream import Visit
from tests.unit.core.builders import A, B, C, stream


def visit(born_seconds: float, behind: int = 1) -> Visit:
    return Visit(life=1, number=1, hop=1, steps=0, born_seconds=born_seconds, behind=behind)


def test_news_of_two_groups_is_as_old_as_that_of_all_their_nodes() -> None:
    assert News(1, 10.0).joined(News(3, 2.0)) == News(4, 4.0)
    assert News(3, 2.0).joined(News(1, 10.0)) == News(4, 4.0)


def test_no_news_makes_none_older() -> None:
    news = News(2, 5.0)
    assert news.joined(NO_NEWS) == NO_NEWS.joined(news) == news
    assert NO_NEWS.joined(NO_NEWS) == NO_NEWS


def test_joining_does_not_depend_on_the_order() -> None:
    one, two, three = News(1, 1.0), News(2, 6.0), News(5, 3.0)
    left, right = one.joined(two).joined(three), one.joined(two.joined(three))
    assert left.nodes == right.nodes == 8
    assert left.born_seconds == pytest.approx(right.born_seconds) == pytest.approx(3.5)


def test_a_stream_knows_when_the_news_of_each_node_was_born() -> None:
    copy = stream(visits={A: visit(100.0), B: visit(4.0), C: visit(8.0)})
    assert news_of_others(copy, A, offset_seconds=0.0) == News(2, 6.0)


def test_a_gateways_visit_counts_for_all_nodes_behind_it() -> None:
    copy = stream(visits={B: visit(4.0), C: visit(8.0, behind=3)})
    assert news_of_others(copy, A, offset_seconds=0.0) == News(4, 7.0)


def test_the_streams_clock_is_read_by_the_drivers() -> None:
    copy = stream(visits={B: visit(4.0), C: visit(8.0)})
    assert news_of_others(copy, A, offset_seconds=50.0) == News(2, 56.0)


def test_a_stream_that_has_visited_nobody_else_has_no_news() -> None:
    assert news_of_others(stream(), A, offset_seconds=50.0) == NO_NEWS
    assert news_of_others(stream(visits={A: visit(1.0)}), A, offset_seconds=50.0) == NO_NEWS
