"""Plots in one style: axes with units, intervals, colours for colour-blind readers.

The colours are those of Okabe and Ito (2008), and every line also has its own marker. Files are
small and reproducible: equal numbers give equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.base import Estimate
from wavrag.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
SHADES = 128
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e5e5",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
}


@contextmanager
def drawing(
    path: Path, width: float = 6.4, height: float = 4.0, rows: int = 1, columns: int = 1
) -> Iterator[list[Axes]]:
    """Yield axes, row by row, and write the figure to a file at the end.

    Args:
        path: PNG file.
        width: width in inches.
        height: height in inches.
        rows: rows of plots.
        columns: columns of plots.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("drawing plots", "evaluate")
    import matplotlib as mpl
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    with mpl.rc_context(STYLE):  # type: ignore[arg-type]
        figure: Figure = Figure(figsize=(width, height), layout="constrained")
        figure.set_dpi(DPI)
        canvas = FigureCanvasAgg(figure)
        yield list(figure.subplots(rows, columns, squeeze=False).flat)
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        image = Image.fromarray(pixels).convert("RGB")
        # A palette takes a third of the bytes, and the plots have fewer shades than it holds.
        image.quantize(SHADES, dither=Image.Dither.NONE).save(path, optimize=True)


def colour(number: int) -> str:
    """Return the colour of a system by its number, the same in all plots of an experiment."""
    return COLOURS[number % len(COLOURS)]


def lines(
    axes: Axes,
    x: Sequence[float],
    series: Mapping[str, Sequence[Estimate | float | None]],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
) -> None:
    """Draw a line for each series, with intervals as a band; None leaves a gap."""
    for number, (name, values) in enumerate(series.items()):
        points = [(at, value) for at, value in zip(x, values, strict=True) if value is not None]
        axes.plot(
            [at for at, _ in points],
            [value.mean if isinstance(value, Estimate) else value for _, value in points],
            label=name,
            color=colour(number),
            marker=MARKERS[number % len(MARKERS)],
        )
        intervals = [(at, value.ci95) for at, value in points if isinstance(value, Estimate)]
        if intervals:
            axes.fill_between(
                [at for at, _ in intervals],
                [low for _, (low, _) in intervals],
                [high for _, (_, high) in intervals],
                color=colour(number),
                alpha=0.15,
                linewidth=0,
            )
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)


def bars(
    axes: Axes,
    groups: Sequence[str],
    series: Mapping[str, Sequence[Estimate | float | None]],
    *,
    ylabel: str,
    title: str = "",
) -> None:
    """Draw vertical bars, one per series in each group, with whiskers for intervals."""
    width = 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        offset = (number - (len(series) - 1) / 2) * width
        points = [(at + offset, value) for at, value in enumerate(values) if value is not None]
        means = [value.mean if isinstance(value, Estimate) else value for _, value in points]
        axes.bar([at for at, _ in points], means, width * 0.92, label=name, color=colour(number))
        for at, value in points:
            if isinstance(value, Estimate):
                axes.plot([at, at], value.ci95, color="#333333", linewidth=1)
    axes.set_xticks(range(len(groups)), groups)
    axes.grid(visible=False, axis="x")
    axes.set(ylabel=ylabel, title=title)
