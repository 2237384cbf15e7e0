"""Loss gap and accuracy against time and against bytes, as one figure of four charts.

The line is the mean over the nodes, the shade reaches to the worst node: a method whose nodes
disagree shows it. Matplotlib's objects are used directly, without pyplot, so nothing is left
behind in the process; the same measurements make the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from flwr_digest.errors import ConfigError
from flwr_digest.learning.arrays import Doubles
from flwr_digest.report.curves import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008): told apart with any kind of color vision. Their yellow is left out: on
# white it is too light for a line.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
# With the colors used up the dashes change, so 28 curves differ.
DASHES = ("-", "--", ":", "-.")

SIZE_INCHES = (11.0, 8.5)  # a landscape page
DOTS_PER_INCH = 150  # sharp when printed on that page, below 1 MB
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched and copied
    "svg.hashsalt": "flwr-digest",  # matplotlib's default is random
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "font.size": 9,
}
NO_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}


LOGARITHMIC = ("gap_mean", "gap_worst", "bytes_sent")
MOST_ALPHA = 0.15  # of a shade, so that grid and lines show through
SUM_OF_ALPHAS = 0.5  # of all shades: what many of them cover can still be seen


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How a curve is drawn; `alpha` is that of the shade."""

    color: str
    dash: str
    alpha: float


def check_matplotlib() -> None:
    """Raise `ConfigError` where matplotlib is missing: to be asked before hours of runs."""
    if find_spec("matplotlib") is None:
        raise ConfigError(
            "charts need matplotlib, which is missing: pip install 'flwr-digest[sim]'"
        )


def draw(title: str, curves: Sequence[Curve], formats: Sequence[str]) -> dict[str, bytes]:
    """Draw the figure.

    Parameters
    ----------
    title : str
        What was run.
    curves : sequence of Curve
        The methods, in the order that decides their colors; the legend names the best first.
    formats : sequence of str
        "svg" or "png".

    Returns
    -------
    dict of str to bytes
        By format, the contents of a file.

    Raises
    ------
    ConfigError
        matplotlib is missing.
    """
    check_matplotlib()
    import matplotlib as mpl  # an extra, and slow to load

    with mpl.rc_context(STYLE):
        figure = _figure(title, curves)
        return {each: _saved(figure, each) for each in formats}


def _saved(figure: Figure, file_format: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=file_format, metadata=NO_METADATA[file_format])
    return buffer.getvalue()


def _figure(title: str, curves: Sequence[Curve]) -> Figure:
    """Return the four charts over a legend that they share."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    charts = figure.subplots(2, 2, sharex="col", sharey="row")
    escaped = title.replace("$", r"\$")  # between two of them matplotlib sets formulas
    figure.suptitle(
        f"{escaped}\nthick line: mean over the nodes; thin line and shade: to the worst node"
    )
    _name_axes(charts)
    for curve, look in zip(curves, _looks(len(curves)), strict=True):
        _add(charts, curve, look)
    _scale_axes(charts, curves)
    _add_legend(figure, charts[0, 0], [curve.last_gap for curve in curves])
    return figure


def _looks(count: int) -> Iterator[Look]:
    """Yield how each of so many curves looks; the more there are, the fainter the shade."""
    alpha = min(MOST_ALPHA, SUM_OF_ALPHAS / count)
    for number in range(count):
        turn, place = divmod(number, len(COLORS))
        yield Look(color=COLORS[place], dash=DASHES[turn % len(DASHES)], alpha=alpha)


def _name_axes(charts: Any) -> None:  # noqa: ANN401 - an array of Axes
    charts[0, 0].set_ylabel("gap: loss on all data above the optimum")
    charts[1, 0].set_ylabel("accuracy on the test data")
    charts[1, 0].set_xlabel("time (simulated seconds)")
    charts[1, 1].set_xlabel("bytes sent by all nodes")


def _scale_axes(charts: Any, curves: Sequence[Curve]) -> None:  # noqa: ANN401 - an array of Axes
    """Make gaps and bytes logarithmic, unless there is nothing of them to show."""
    from matplotlib.ticker import EngFormatter

    if any(np.isfinite(_shown(curve, "gap_mean")).any() for curve in curves):
        charts[0, 0].set_yscale("log")
    if any(np.isfinite(_shown(curve, "bytes_sent")).any() for curve in curves):
        charts[0, 1].set_xscale("log")
    charts[1, 1].xaxis.set_major_formatter(EngFormatter(unit="B"))  # a change of scale resets it


def _shown(curve: Curve, field: str) -> Doubles:
    """Return the values to draw: NaN, which is not drawn, for what a logarithm does not have."""
    values = curve.median(field)
    return np.where(values > 0, values, np.nan) if field in LOGARITHMIC else values


def _add(charts: Any, curve: Curve, look: Look) -> None:  # noqa: ANN401 - an array of Axes
    """Draw one curve into all four charts; what sends nothing is not in those against bytes."""
    for column, across in enumerate(("time_seconds", "bytes_sent")):
        x = _shown(curve, across)
        for row, quantity in enumerate(("gap", "accuracy")):
            y, edge = (_shown(curve, f"{quantity}_{which}") for which in ("mean", "worst"))
            chart: Axes = charts[row, column]
            line: Any = {"color": look.color, "linestyle": look.dash}
            chart.plot(x, y, **line, linewidth=1.8, label=curve.label)
            chart.plot(x, edge, **line, linewidth=0.5)
            chart.fill_between(x, y, edge, color=look.color, alpha=look.alpha, linewidth=0)


def _add_legend(figure: Figure, chart: Axes, gaps: Sequence[float]) -> None:
    """Name all curves of a chart below the figure, the one with the least gap first."""
    lines, labels = chart.get_legend_handles_labels()
    ranked = sorted(range(len(gaps)), key=gaps.__getitem__)
    figure.legend(
        [lines[number] for number in ranked],
        [labels[number] for number in ranked],
        loc="outside lower center",
        ncols=min(3, len(gaps)),
        frameon=False,
        title="least gap at the end first",
    )
