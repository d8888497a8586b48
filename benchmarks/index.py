"""Speed of indexing, and memory for a long recording.

    python benchmarks/index.py [--minutes 20] [--copies 60] [--long-hours 3] [--json]

Prints hours of audio indexed per hour, text passages per second, and the peak resident memory. Each
measurement is a run of `wavrag index` in a new folder, including the time to load models and to
open the store. Recordings and texts are copies of the demo corpus.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import corpus


def run_index(paths: list[Path], kb: Path) -> dict[str, float]:
    """Index paths in a new process, and return its report, time and memory."""
    command = [sys.executable, "-m", "wavrag", "index", "--json", "--kb", str(kb), *map(str, paths)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    report = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"indexing failed: {report['skipped']}")
    return {
        "seconds": seconds,
        "passages": report["passages"],
        "audio_seconds": report["audio_seconds"],
        "peak_mb": usage.ru_maxrss * _maxrss_unit() / 1e6,
    }


def _maxrss_unit() -> int:
    """Return the unit of `ru_maxrss` in bytes."""
    return 1 if sys.platform == "darwin" else 1024


def measure_recordings(folder: Path, minutes: float) -> dict[str, Any]:
    """Measure hours of audio indexed per hour."""
    path = folder / "recording.wav"
    corpus.write_long_recording(path, minutes * 60)
    result = run_index([path], folder / "kb-audio")
    return {**result, "hours_per_hour": result["audio_seconds"] / result["seconds"]}


def measure_texts(folder: Path, copies: int) -> dict[str, Any]:
    """Measure text passages indexed per second."""
    source = folder / "texts"
    source.mkdir()
    corpus.write_texts(source, copies)
    result = run_index([source], folder / "kb-text")
    return {**result, "passages_per_second": result["passages"] / result["seconds"]}


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--minutes", type=float, default=20.0, help="minutes of audio (default: 20)"
    )
    parser.add_argument("--copies", type=int, default=60, help="copies of each text (default: 60)")
    parser.add_argument(
        "--long-hours",
        type=float,
        default=3.0,
        help="hours of the long file; 0 skips it (default: 3)",
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            "recordings": measure_recordings(Path(folder), arguments.minutes),
            "texts": measure_texts(Path(folder), arguments.copies),
        }
        if arguments.long_hours:
            long = Path(folder, "long")
            long.mkdir()
            figures["long recording"] = measure_recordings(long, arguments.long_hours * 60)
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for name, figure in figures.items():
        print(name)
        for key, value in figure.items():
            print(f"  {key:20} {value:10.1f}")


if __name__ == "__main__":
    main()
