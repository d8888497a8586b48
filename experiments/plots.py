"""Plots in one style: labelled axes with units, intervals shown, colours that all can tell apart.

Colours are those of Okabe and Ito (2008); every line has its own marker besides, so that a plot
can be read without them. Files are small, and equal numbers make equal bytes.
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
    """Axes to draw on, row by row; written to a file at the end.

    Args:
        path: PNG to write.
        width: inches.
        height: inches.
        rows: of plots.
        columns: of plots.

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
        # A palette: a third of the bytes, and none of the plots has more shades.
        image.quantize(SHADES, dither=Image.Dither.NONE).save(path, optimize=True)


def colour(place: int) -> str:
    """The colour of the system at a place, the same in every plot of an experiment."""
    return COLOURS[place % len(COLOURS)]


def lines(
    axes: Axes,
    x: Sequence[float],
    series: Mapping[str, Sequence[Estimate | float | None]],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
) -> None:
    """A line for each of the series, with its intervals as a band; None leaves a gap."""
    for place, (name, values) in enumerate(series.items()):
        kept = [(at, value) for at, value in zip(x, values, strict=True) if value is not None]
        axes.plot(
            [at for at, _ in kept],
            [value.mean if isinstance(value, Estimate) else value for _, value in kept],
            label=name,
            color=colour(place),
            marker=MARKERS[place % len(MARKERS)],
        )
        banded = [(at, value.ci95) for at, value in kept if isinstance(value, Estimate)]
        if banded:
            axes.fill_between(
                [at for at, _ in banded],
                [low for _, (low, _) in banded],
                [high for _, (_, high) in banded],
                color=colour(place),
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
    """Upright bars, one a series in each group, with whiskers for intervals."""
    width = 0.8 / len(series)
    for place, (name, values) in enumerate(series.items()):
        offset = (place - (len(series) - 1) / 2) * width
        kept = [(at + offset, value) for at, value in enumerate(values) if value is not None]
        means = [value.mean if isinstance(value, Estimate) else value for _, value in kept]
        axes.bar([at for at, _ in kept], means, width * 0.92, label=name, color=colour(place))
        for at, value in kept:
            if isinstance(value, Estimate):
                axes.plot([at, at], value.ci95, color="#333333", linewidth=1)
    axes.set_xticks(range(len(groups)), groups)
    axes.grid(visible=False, axis="x")
    axes.set(ylabel=ylabel, title=title)
