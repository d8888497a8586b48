"""What work costs: time of processors for an hour of sound, and money at a price that is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, process_time


@dataclass(slots=True)
class Cost:
    """Work that was measured.

    Attributes:
        seconds: from its beginning to its end.
        cpu_seconds: of all processors, in this process; a server's or a GPU's are not in it.
        audio_seconds: of sound that was worked on.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    audio_seconds: float = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Add the time that a block takes."""
        started, started_cpu = perf_counter(), process_time()
        try:
            yield
        finally:
            self.seconds += perf_counter() - started
            self.cpu_seconds += process_time() - started_cpu

    @property
    def cpu_seconds_per_hour(self) -> float | None:
        """CPU seconds for an hour of sound; None where there was none."""
        return self.cpu_seconds * 3_600 / self.audio_seconds if self.audio_seconds else None

    def price_per_hour(self, cpu_hour: float) -> float | None:
        """Money for an hour of sound; None where there was none.

        Args:
            cpu_hour: price of an hour of one processor.
        """
        needed = self.cpu_seconds_per_hour
        return None if needed is None else needed / 3_600 * cpu_hour
