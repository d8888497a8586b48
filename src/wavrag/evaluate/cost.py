"""Cost of work on audio: CPU time per hour of audio, and its price."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, process_time


@dataclass(slots=True)
class Cost:
    """Time spent on an amount of audio."""

    seconds: float = 0.0  # wall-clock time
    cpu_seconds: float = 0.0  # CPU time of all cores in this process; it excludes servers and GPUs
    audio_seconds: float = 0.0  # duration of the processed audio

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Add the time of a `with` block, even if the block raises an error."""
        # `process_time` includes all threads of this process, such as those of ONNX Runtime.
        started, started_cpu = perf_counter(), process_time()
        try:
            yield
        finally:
            self.seconds += perf_counter() - started
            self.cpu_seconds += process_time() - started_cpu

    @property
    def cpu_seconds_per_hour(self) -> float | None:
        """CPU seconds per hour of audio; None without audio."""
        return self.cpu_seconds * 3_600 / self.audio_seconds if self.audio_seconds else None

    def price_per_hour(self, cpu_hour: float | None) -> float | None:
        """Compute the price of an hour of audio; None without audio or a price of a CPU hour."""
        cpu_seconds = self.cpu_seconds_per_hour
        return None if cpu_seconds is None or cpu_hour is None else cpu_seconds / 3_600 * cpu_hour
