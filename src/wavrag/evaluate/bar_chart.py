"""Geometry of a horizontal bar chart with intervals, drawn as SVG by a template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar with its label and its interval, in pixels."""

    label: str
    mean: float  # from 0 to 1
    y: int  # top of the row
    width: float
    low: float  # ends of the interval
    high: float


@dataclass(frozen=True, slots=True)
class BarChart:
    """Bars from 0 to 1 with intervals."""

    title: str  # for readers who cannot see the chart
    rows: Sequence[tuple[str, float, tuple[float, float]]]  # label, mean, interval

    PLOT_WIDTH: ClassVar[int] = 420  # pixels; with the longest label still narrower than a page
    ROW_HEIGHT: ClassVar[int] = 28
    MAX_LABEL: ClassVar[int] = 42  # characters, of about 7 pixels each

    @property
    def left(self) -> int:
        """Left end of the bars, after the longest label."""
        longest = max((len(label) for label, _, _ in self.rows), default=0)
        return 16 + 7 * min(longest, self.MAX_LABEL)

    @property
    def right(self) -> int:
        """Right end of the axis."""
        return self.left + self.PLOT_WIDTH

    @property
    def total_width(self) -> int:
        """Width with the values to the right of the bars."""
        return self.right + 60

    @property
    def height(self) -> int:
        """Height with the axis labels."""
        return self.ROW_HEIGHT * len(self.rows) + 34

    @property
    def ticks(self) -> list[tuple[int, str]]:
        """Position and label of each axis line."""
        return [(self.left + self.PLOT_WIDTH * n // 4, f"{n / 4:g}") for n in range(5)]

    @property
    def bars(self) -> list[Bar]:
        """The bars from top to bottom."""
        return [
            Bar(
                # The end of a long name tells systems apart: it names the legs.
                label if len(label) <= self.MAX_LABEL else f"\u2026{label[1 - self.MAX_LABEL :]}",
                mean,
                y=6 + self.ROW_HEIGHT * number,
                width=self.PLOT_WIDTH * mean,
                low=self.left + self.PLOT_WIDTH * low,
                high=self.left + self.PLOT_WIDTH * high,
            )
            for number, (label, mean, (low, high)) in enumerate(self.rows)
        ]
