"""Figures as people read them."""

from __future__ import annotations

import pytest

from flwr_digest.cli import humane


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.7, "1.00 kB"),
        (1000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_996, "10.0 kB"),
        (99_960, "100 kB"),
        (999_600, "1.00 MB"),
        (1_234_567, "1.23 MB"),
        (5e12, "5.00 TB"),
        (5e15, "5000 TB"),
    ],
)
def test_bytes_have_three_digits_and_a_prefix(count: float, shown: str) -> None:
    assert humane.size(count) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0070123, "0.00701"), (0.3, "0.300"), (17.0, "17.0"), (123.4, "123"), (0.0, "0")],
)
def test_figures_in_a_column_have_as_many_digits(value: float, shown: str) -> None:
    assert humane.plain(value) == shown


def test_each_figure_has_its_form() -> None:
    assert humane.counted(12345.6) == "12,346"
    assert humane.share(0.678) == "68 %"
    assert humane.accuracy(0.97) == "0.970"


@pytest.mark.parametrize(
    "shown", [humane.plain, humane.counted, humane.share, humane.accuracy, humane.size]
)
def test_what_is_not_there_is_a_dash(shown: object) -> None:
    assert callable(shown)
    assert shown(None) == "-"
