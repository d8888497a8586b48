"""Peak memory of indexing a generated text file or mailbox, with the fake embedder.

    python benchmarks/memory.py --kind mbox --megabytes 200

The mailbox has an attachment of 90 % of each message, as in real mailboxes.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

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


def peak() -> float:
    """Peak memory of the process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Index one file and print size, passages, seconds and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=("txt", "mbox"), default="txt")
    parser.add_argument("--megabytes", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"large.{arguments.kind}"
        write = write_text if arguments.kind == "txt" else write_mbox
        write(path, arguments.megabytes << 20)
        with KnowledgeBase.open(Path(folder) / "kb", embedder="fake") as kb:
            before, start = peak(), time.monotonic()
            report = kb.add(find_files([path]).documents)
            print(
                f"{arguments.kind} of {arguments.megabytes} MB: {report.passages:,} passages in"
                f" {time.monotonic() - start:.0f} s, peak {peak():,.0f} MB"
                f" ({before:,.0f} MB before)"
            )


if __name__ == "__main__":
    main()
