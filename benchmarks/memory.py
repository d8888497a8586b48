"""Peak memory of indexing generated text files, mailboxes and recordings, by their size.

    python benchmarks/memory.py [--kinds txt mbox] [--text-megabytes 1 10 100]

Each file is indexed with the fake embedder in a process of its own, and then deleted. Memory is
resident memory, at its peak. The mailbox has an attachment of 90 % of each message, as in real
mailboxes. The recording is speech of the demo corpus, with pauses, as FLAC.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import corpus
import numpy as np

from wavrag.audio import SAMPLE_RATE
from wavrag.heap import limit_arenas
from wavrag.kb import KnowledgeBase, find_files

PARAGRAPH = (
    "The harbour committee met on day {0} and noted a fare of {0} crowns for the night ferry. "
    "It will meet again after the tide of the following week has been measured.\n\n"
)


def write_text(path: Path, size: int) -> None:
    """Write paragraphs of about this many bytes."""
    with path.open("w", encoding="utf-8") as file:
        number = 0
        while file.tell() < size:
            file.writelines(PARAGRAPH.format(number + offset) for offset in range(1_000))
            number += 1_000


def write_mbox(path: Path, size: int) -> None:
    """Write messages of 20 kB with an attachment."""
    attachment = ("QUJD" * 19 + "\n") * 235
    with path.open("w", encoding="utf-8") as file:
        number = 0
        while file.tell() < size:
            number += 1
            file.write(
                f"From a@b Mon Jan  5 10:00:00 2026\nFrom: a@b\nSubject: Minutes {number}\n"
                "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\n"
                f"{PARAGRAPH.format(number) * 10}\n--x\nContent-Type: application/pdf\n"
                "Content-Transfer-Encoding: base64\n"
                f'Content-Disposition: attachment; filename="a.pdf"\n\n{attachment}--x--\n\n'
            )


def write_recording(path: Path, seconds: float) -> None:
    """Write a recording of a duration: the speech of the demo corpus, repeated."""
    import av

    speech = corpus.load_speech()
    remaining = round(seconds * SAMPLE_RATE)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono", format="s16")
        while remaining > 0:
            block = np.ascontiguousarray(speech[None, :remaining], np.int16)
            frame = av.AudioFrame.from_ndarray(block, "s16", "mono")
            frame.sample_rate = SAMPLE_RATE
            container.mux(stream.encode(frame))
            remaining -= block.shape[1]
        container.mux(stream.encode(None))


def write_file(path: Path, size: float) -> None:
    """Write a file of a size in MB, or of a recording in hours; the suffix decides."""
    match path.suffix:
        case ".txt":
            write_text(path, int(size * 1e6))
        case ".mbox":
            write_mbox(path, int(size * 1e6))
        case _:
            write_recording(path, size * 3600)


def index_file(path: Path, kb: Path) -> None:
    """Index one file, and print a JSON object with passages, seconds and memory in MB."""
    limit_arenas()  # as every command does
    with KnowledgeBase.open(kb, embedder="fake") as base:
        # The first document loads the libraries.
        base.add(find_files([corpus.DOCUMENTS / "rye-bread-recipe.md"]).documents)
        before, start = peak(), time.monotonic()
        report = base.add(find_files([path]).documents)
        assert report.added, report.skipped
        seconds = time.monotonic() - start
        print(json.dumps([report.passages, seconds, before, peak()]))


def peak() -> float:
    """Peak memory of the process in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measure(kind: str, size: float, folder: Path) -> None:
    """Write and index a file, and print a line with the figures."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = Path(scratch, f"large.{kind}")
        write_file(path, size)
        command = [sys.executable, __file__, "--index", str(path), str(Path(scratch, "kb"))]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    passages, seconds, before, after = json.loads(output)
    unit = "h" if kind == "flac" else "MB"
    print(
        f"{kind:5} {size:6g} {unit:2}  {passages:9,} passages  {seconds:7.1f} s"
        f"  peak {after:6,.0f} MB  ({before:,.0f} MB before)",
        flush=True,
    )


def main() -> None:
    """Measure each kind and size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=["txt", "mbox", "flac"])
    sizes = {"type": float, "nargs": "+"}
    parser.add_argument("--text-megabytes", default=[1, 10, 100, 500], **sizes)
    parser.add_argument("--mbox-megabytes", default=[10, 100, 2_000], **sizes)
    parser.add_argument("--hours", default=[1, 10], **sizes)
    parser.add_argument(
        "--folder", type=Path, help="for files of up to four times the largest size"
    )
    parser.add_argument("--index", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.index:
        index_file(*arguments.index)
        return
    by_kind = {
        "txt": arguments.text_megabytes,
        "mbox": arguments.mbox_megabytes,
        "flac": arguments.hours,
    }
    for kind in arguments.kinds:
        for size in by_kind[kind]:
            measure(kind, size, arguments.folder)


if __name__ == "__main__":
    main()
