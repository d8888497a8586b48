"""Progress bars on standard error. They draw nothing unless that is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from wavrag.cli.output import format_duration
from wavrag.closing import Closing

if TYPE_CHECKING:
    from wavrag.kb import Progress, Stage


class _TerminalBar(Closing):
    """Base class of bars that tqdm draws."""

    _bar: Any = None

    def close(self) -> None:
        """Remove the bar; the next call draws a new one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class ProgressBar(_TerminalBar):
    """A bar for a known number of steps; calling it with the steps done and the total moves it.

    Example:
        >>> with ProgressBar("speaking", "texts", quiet=True) as bar:
        ...     bar(1, 2)
        ...     bar(2, 2)
    """

    def __init__(self, label: str, noun: str, quiet: bool = False) -> None:
        self._format = (
            f"{label}: {{n_fmt}}/{{total_fmt}} {noun} |{{bar:20}}| {{elapsed}}<{{remaining}}"
        )
        self._quiet = quiet or not sys.stderr.isatty()

    def __call__(self, steps: int, total: int) -> None:
        """Draw the bar."""
        if self._quiet:
            return
        if self._bar is None:
            from tqdm import tqdm  # here, as the import takes 40 ms and many calls draw no bar

            self._bar = tqdm(total=total, bar_format=self._format, dynamic_ncols=True, leave=False)
        self._bar.update(steps - self._bar.n)


class StageBars(_TerminalBar):
    """A progress bar for each stage of a run."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._stage = ""

    def __call__(self, stage: str, steps: int, total: int) -> None:
        """Draw the bar of a stage; a new stage removes the bar before it."""
        if self._bar is None or stage != self._stage:
            self.close()
            self._stage, self._bar = stage, ProgressBar(stage, "done", self._quiet)
        self._bar(steps, total)


class IndexBar(_TerminalBar):
    """A bar of the files indexed, with the time left and the position in a long file.

    `documents` counts the files stored, unchanged or skipped so far, even if nothing is drawn.
    """

    FORMATS: ClassVar[dict[Stage, str]] = {
        "reading": "looking for changes{postfix}",
        "loading": "loading models …",
        "embedding": "indexing: {n_fmt}/{total_fmt} files |{bar:20}| {elapsed}{postfix}",
    }
    # Text files arrive by the thousand per second; drawing each would slow indexing down.
    INTERVAL = 0.1  # seconds between two redraws

    def __init__(self, quiet: bool, starts_later: bool = False) -> None:
        """Draw the bar at once, or with the first progress if it starts later."""
        self._last_draw = 0.0
        self._stage: Stage = "reading"
        self._quiet = quiet or not sys.stderr.isatty()
        self.documents = 0
        if not starts_later:
            # Before the work, as the rate of passages counts from here.
            self._create()

    def _create(self) -> None:
        if not self._quiet:
            from tqdm import tqdm

            self._bar = tqdm(bar_format=self.FORMATS["reading"], dynamic_ncols=True, leave=False)

    def __call__(self, progress: Progress) -> None:
        """Draw the bar."""
        self.documents = progress.documents
        if self._bar is None:
            self._create()
        bar, now = self._bar, time.monotonic()
        is_new = progress.stage != self._stage
        if bar is None or (now - self._last_draw < self.INTERVAL and not is_new):
            return
        self._last_draw, self._stage = now, progress.stage
        bar.bar_format = self.FORMATS[progress.stage]
        bar.total, bar.n = progress.total, progress.documents
        bar.set_postfix_str(", ".join(filter(None, self._facts(progress))))

    def _facts(self, progress: Progress) -> Iterator[str]:
        """What matters most comes first, as a narrow terminal cuts the line."""
        name = Path(progress.current).name[:30]
        if progress.stage != "embedding":
            yield name
            return
        if progress.seconds_left is not None:
            yield f"{format_duration(progress.seconds_left)} left"
        yield f"{name} {progress.fraction:.0%}" if progress.fraction else name
        yield f"{progress.audio_seconds / 3_600:.2f} h of audio"
        # The first call may come within the resolution of the clock.
        rate = progress.passages / max(self._bar.format_dict["elapsed"], 1e-3)
        yield f"{rate:.0f} passages/s"


class FetchBar(_TerminalBar):
    """A line with the URL that is being downloaded, and its size."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._last_draw = 0.0

    def __call__(self, url: str, size: int, total: int | None) -> None:
        """Draw the line; it is removed at the end of each file."""
        now = time.monotonic()
        if self._quiet or (size != total and now - self._last_draw < IndexBar.INTERVAL):
            return
        self._last_draw = now
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(bar_format="{desc}", dynamic_ncols=True, leave=False)
        share = f" of {total / 1e6:.1f}" if total else ""
        self._bar.set_description_str(f"fetching {size / 1e6:.1f}{share} MB: {url}")
        if size == total:
            self.close()
