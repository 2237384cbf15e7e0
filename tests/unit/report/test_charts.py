"""The figure of four charts."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import matplotlib as mpl
import pytest

from flwr_digest.errors import ConfigError
from flwr_digest.report.charts import COLORS, check_matplotlib, draw
from flwr_digest.report.curves import Curve
from tests.unit.report.measurements import curve_of

PNG = b"\x89PNG\r\n\x1a\n"
TWO = [
    curve_of([1.0, 0.5, 0.2], label="digest, shards=4"),
    curve_of([1.0, 0.4, 0.1], label="fedavg"),
]


def svg_of(title: str, curves: Sequence[Curve]) -> str:
    return draw(title, curves, ("svg",))["svg"].decode()


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]+)</text>", svg)


def test_title_axes_and_methods_are_there_as_text() -> None:
    found = texts(svg_of("by-label: 16 nodes", TWO))

    assert "by-label: 16 nodes" in found
    assert {"digest, shards=4", "fedavg"} <= set(found)
    assert {"time (simulated seconds)", "bytes sent by all nodes"} <= set(found)
    assert {"gap: loss on all data above the optimum", "accuracy on the test data"} <= set(found)


def test_the_legend_names_the_least_gap_first() -> None:
    found = texts(svg_of("any", TWO))

    assert found.index("fedavg") < found.index("digest, shards=4")


def test_bytes_have_units() -> None:
    assert any(re.fullmatch(r"\d+ kB", text) for text in texts(svg_of("any", TWO)))


def test_the_same_measurements_make_the_same_files() -> None:
    assert draw("any", TWO, ("svg", "png")) == draw("any", TWO, ("svg", "png"))


def test_a_png_is_a_png() -> None:
    assert draw("any", TWO, ("png",))["png"].startswith(PNG)


def test_every_method_has_a_look_of_its_own() -> None:
    many = [curve_of([1.0, 0.5], label=f"m{n}") for n in range(len(COLORS) + 1)]
    svg = svg_of("any", many)

    assert all(color.lower() in svg for color in COLORS)
    assert "stroke-dasharray" in svg


def test_a_method_that_sends_nothing_or_diverged_does_no_harm() -> None:
    silent = curve_of([1.0, 0.5], label="centralised", bytes_a_second=0)
    diverged = curve_of([1.0, math.inf], [math.nan, math.nan], label="fast")
    perfect = curve_of([0.0, -0.1], label="perfect")

    for curves in ([silent], [diverged], [perfect], [silent, diverged, perfect, *TWO]):
        found = texts(svg_of("any", curves))
        assert {curve.label for curve in curves} <= set(found)


def test_a_title_is_never_a_formula() -> None:
    assert "costs $1 or $2" in texts(svg_of("costs $1 or $2", TWO))


def test_the_settings_of_matplotlib_stay_as_they_were() -> None:
    before = dict(mpl.rcParams)
    draw("any", TWO, ("svg", "png"))

    assert dict(mpl.rcParams) == before


def test_missing_matplotlib_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flwr_digest.report.charts.find_spec", lambda name: None)

    with pytest.raises(ConfigError) as caught:
        check_matplotlib()

    assert str(caught.value) == (
        "charts need matplotlib, which is missing: pip install 'flwr-digest[sim]'"
    )
