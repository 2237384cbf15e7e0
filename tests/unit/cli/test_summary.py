"""Medians over seeds."""

from __future__ import annotations

from typing import Any

import pytest

from flwr_digest.cli.summary import Summary, summaries


def entry(gap: float | None, reached: float | None = None) -> dict[str, Any]:
    return {"gap_mean": gap, "time_to": {"0.1": reached, "0.01": None}}


def summed(*entries: dict[str, Any]) -> Summary:
    return Summary(label="any", entries=entries)


def test_the_median_is_taken_over_the_seeds() -> None:
    assert summed(entry(0.3), entry(0.1), entry(0.2)).of("gap_mean") == 0.2
    assert summed(entry(0.1), entry(0.2)).of("gap_mean") == pytest.approx(0.15)


def test_what_one_seed_of_three_has_not_does_not_decide() -> None:
    assert summed(entry(0.3), entry(None), entry(0.2)).of("gap_mean") == 0.3


def test_what_most_seeds_have_not_is_not_there() -> None:
    assert summed(entry(0.3), entry(None), entry(None)).of("gap_mean") is None
    assert summed(entry(0.3), entry(None)).of("gap_mean") is None


def test_a_gap_that_most_seeds_come_to_has_a_time() -> None:
    runs = summed(entry(0.0, 30.0), entry(0.0, 10.0), entry(0.0))

    assert runs.targets == ["0.1", "0.01"]
    assert runs.to_gap("time_to", "0.1") == 30.0
    assert runs.to_gap("time_to", "0.01") is None


def test_entries_of_one_label_are_put_together_in_the_order_of_the_labels() -> None:
    found = summaries([("b", entry(1.0)), ("a", entry(2.0)), ("b", entry(3.0))])

    assert [(each.label, len(each.entries)) for each in found] == [("b", 2), ("a", 1)]
