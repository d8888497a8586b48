"""How fast files are indexed, and how much memory a long one takes.

    python benchmarks/index.py [--minutes 20] [--copies 60] [--long-hours 3] [--json]

Each measurement is a `wavrag index` of its own in a fresh folder, with models loaded and the store
opened: what a user waits for. Memory is the largest resident set of that process. Recordings and
texts are the demo corpus, repeated.
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


def index(paths: list[Path], kb: Path) -> dict[str, float]:
    """Index paths in a process of its own: its report, seconds and memory."""
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
    """Bytes in the unit of `ru_maxrss`."""
    return 1 if sys.platform == "darwin" else 1024


def recordings(folder: Path, minutes: float) -> dict[str, Any]:
    """Hours of audio indexed in an hour."""
    path = folder / "recording.wav"
    corpus.long_recording(path, minutes * 60)
    result = index([path], folder / "kb-audio")
    return {**result, "hours_per_hour": result["audio_seconds"] / result["seconds"]}


def texts(folder: Path, copies: int) -> dict[str, Any]:
    """Passages of text indexed in a second."""
    source = folder / "texts"
    source.mkdir()
    corpus.texts(source, copies)
    result = index([source], folder / "kb-text")
    return {**result, "passages_per_second": result["passages"] / result["seconds"]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0, help="of audio for the speed")
    parser.add_argument("--copies", type=int, default=60, help="of each text")
    parser.add_argument(
        "--long-hours", type=float, default=3.0, help="of one file for the memory; 0 leaves it out"
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            "recordings": recordings(Path(folder), arguments.minutes),
            "texts": texts(Path(folder), arguments.copies),
        }
        if arguments.long_hours:
            long = Path(folder, "long")
            long.mkdir()
            figures["long recording"] = recordings(long, arguments.long_hours * 60)
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for name, figure in figures.items():
        print(name)
        for key, value in figure.items():
            print(f"  {key:20} {value:10.1f}")


if __name__ == "__main__":
    main()
