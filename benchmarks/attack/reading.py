"""Read hostile files in another process, and measure time and memory of each.

Used by `mutated.py` and `bombs.py`. The process reads a file as indexing does, up to the passages
before embedding. It is replaced after a crash or after `DEADLINE` seconds. Times are those of the
processor, because other programs may use it, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

DEADLINE = 300.0  # seconds
MAX_SECONDS = 30.0  # bars of a single file
MAX_MEGABYTES = 1_500.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Result of reading a file."""

    outcome: str  # passages, refused, traceback, crash or hang
    seconds: float  # computing time
    megabytes: float  # peak memory of the processes that read it
    detail: str = ""  # message or traceback


class FileReader:
    """A process that reads files one after the other."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def read(self, path: Path) -> Reading:
        """Read a file."""
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        watch = _Watch(process)
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        watch.start()
        line = process.stdout.readline()
        megabytes = watch.stop()
        seconds = watch.seconds
        if not line:
            self._process = None
            outcome = "hang" if watch.is_over else "crash"
            return Reading(outcome, seconds, megabytes, f"exit code {process.wait()}")
        outcome, detail = json.loads(line)
        return Reading(outcome, seconds, megabytes, detail)

    def close(self) -> None:
        """End the process."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()  # its modules are loaded
        return process


class _Watch(threading.Thread):
    """Measures the peak memory of a process and its children, and kills it at the deadline."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        super().__init__(daemon=True)
        self.is_over = False
        self.seconds = 0.0
        self._process = process
        self._start = sum(map(_computing_seconds, _family(process.pid)))
        self._end = threading.Event()
        self._peak = 0.0
        self._deadline = time.monotonic() + DEADLINE
        for pid in _family(process.pid):
            with suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")  # resets the peak

    def run(self) -> None:
        while not self._end.wait(0.05):
            self._measure()
            if time.monotonic() > self._deadline:
                self.is_over = True
                self._process.kill()
                return

    def stop(self) -> float:
        """End, and return the peak in MB."""
        self._end.set()
        self.join()
        self._measure()
        return self._peak

    def _measure(self) -> None:
        family = _family(self._process.pid)
        self._peak = max(self._peak, sum(map(_peak_megabytes, family)))
        self.seconds = max(self.seconds, sum(map(_computing_seconds, family)) - self._start)


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    family = [pid]
    for member in family:
        with suppress(OSError):
            for task in Path(f"/proc/{member}/task").iterdir():
                family += map(int, (task / "children").read_text().split())
    return family


def _peak_megabytes(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _computing_seconds(pid: int) -> float:
    """Time of a process and of its children that have ended."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0


@dataclass(slots=True)
class _Row:
    files: int = 0
    outcomes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    seconds: float = 0.0
    megabytes: float = 0.0

    def add(self, reading: Reading) -> None:
        self.files += 1
        self.outcomes[reading.outcome] += 1
        self.seconds = max(self.seconds, reading.seconds)
        self.megabytes = max(self.megabytes, reading.megabytes)

    def format(self, name: str) -> str:
        failures = sum(self.outcomes[outcome] for outcome in ("traceback", "crash", "hang"))
        return (
            f"{name:<12}{self.files:>7,}{self.outcomes['passages']:>9,}"
            f"{self.outcomes['refused']:>9,}{failures:>9}{self.seconds:>10.1f}"
            f"{self.megabytes:>9,.0f}"
        )


class Table:
    """Readings by kind of file."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = defaultdict(_Row)
        self._total = _Row()
        self.failures = 0

    def add(self, kind: str, path: Path, reading: Reading) -> bool:
        """Add a reading; print it and return False if it fails a bar."""
        self._rows[kind].add(reading)
        self._total.add(reading)
        is_good = (
            reading.outcome in ("passages", "refused")
            and reading.seconds <= MAX_SECONDS
            and reading.megabytes <= MAX_MEGABYTES
        )
        if not is_good:
            self.failures += 1
            print(
                f"FAILED {path.name}: {reading.outcome}, {reading.seconds:.1f} s,"
                f" {reading.megabytes:,.0f} MB {reading.detail[-2_000:]}",
                flush=True,
            )
        return is_good

    def print(self) -> None:
        """Print a row per kind and the bars."""
        print("kind          files     read  refused   failed   slowest  peak MB")
        for kind, row in sorted(self._rows.items()):
            print(row.format(kind))
        print(self._total.format("all"))
        verdict = "FAIL" if self.failures else "pass"
        print(
            f"{verdict}: {self.failures} files with a traceback, over {MAX_SECONDS:g} s or over"
            f" {MAX_MEGABYTES:,.0f} MB"
        )


def read_files(files: Iterable[tuple[str, Path]], keep: Path | None = None) -> Table:
    """Read files, given with their kinds, and delete them; failed ones are moved to `keep`."""
    reader, table = FileReader(), Table()
    for kind, path in files:
        is_good = table.add(kind, path, reader.read(path))
        if not is_good and keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / path.name).write_bytes(path.read_bytes())
        path.unlink()
    reader.close()
    return table


def _read(path: str) -> tuple[str, str]:
    """Outcome and message."""
    from wavrag.errors import InputError
    from wavrag.kb import find_files, split_document

    try:
        scan = find_files([path])
        reasons = [reason for _, reason in scan.skipped]
        count = 0
        for document in scan.documents:
            try:
                count += sum(1 for _ in split_document(document, 16_000, lambda _: None))
            except InputError as error:
                reasons.append(str(error))
    except BaseException:  # noqa: BLE001 - any exception is a finding
        return "traceback", traceback.format_exc()
    return ("passages", "") if count else ("refused", "; ".join(reasons))


def _serve() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    # Libraries may print; the answers go to the original standard output.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _read(__file__)  # loads the modules
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_read(line.rstrip("\n"))), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
