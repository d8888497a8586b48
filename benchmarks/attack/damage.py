"""Damage single bytes and truncate files anywhere in a knowledge base; find and repair each damage.

    python benchmarks/attack/damage.py --count 300

The knowledge base has texts, recordings, an upload with its job, and several versions. For each
damage, one file of a copy is changed or cut off. `kb verify` must report it, unless opening the
knowledge base has repaired it; then `kb repair` must bring back all documents from the originals,
or refuse with a message, and verify must find nothing any more. A damaged original is reported.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TypeAlias

import numpy as np

from wavrag import Clip, KnowledgeBase
from wavrag.audio import encode
from wavrag.errors import WavRAGError
from wavrag.kb import find_files, repair_kb
from wavrag.server.jobs import JobBook, Upload
from wavrag.store import FolderRecords
from wavrag.types import Document

Rows: TypeAlias = list[tuple[str, str | None, bytes]]


def build(folder: Path) -> Path:
    """Index originals in several commits; return the folder of the knowledge base."""
    files = folder / "files"
    files.mkdir()
    for number in range(30):
        (files / f"{number}.md").write_text(f"# Note {number}\n\nThe {number}th ferry is late.\n")
    tone = np.sin(np.arange(32_000, dtype=np.float32) / 6)
    (files / "tone.wav").write_bytes(encode(Clip(tone, 16_000), "wav"))
    base = folder / "kb"
    with KnowledgeBase.open(base, embedder="fake") as kb:
        for first in range(0, 30, 6):
            paths = sorted(files.iterdir())[first : first + 6]
            kb.add([Document(str(path), path=str(path)) for path in paths])
        kb.add(find_files([files]).documents)
        upload = base / "uploads" / f"{'0' * 32}.txt"
        upload.parent.mkdir()
        upload.write_text("An uploaded text.")
        kb.add([Document("upload-1", path=str(upload), title="Upload")])
    job = JobBook(FolderRecords(base))
    done = job.create([Upload("upload-1", upload.name, "a.txt", "Upload", 17, {})], [])
    done.state = "done"
    job.save(done)
    (base / "jobs" / ".reserve").unlink()  # its content means nothing
    return base


def read_rows(base: Path) -> Rows:
    """Everything that searches depend on."""
    with KnowledgeBase.open(base, create=False) as kb:
        return [(row.passage.id, row.passage.text, row.vector.tobytes()) for row in kb.scan()]


def damage(base: Path, chance: random.Random) -> tuple[Path, str]:
    """Change a byte of a file, or truncate it; half of the files are chosen by size."""
    files = [path for path in sorted(base.rglob("*")) if path.is_file() and path.stat().st_size]
    sizes = [path.stat().st_size for path in files]
    path = chance.choice(files) if chance.random() < 0.5 else chance.choices(files, sizes)[0]
    data = bytearray(path.read_bytes())
    at = chance.randrange(len(data))
    if chance.random() < 0.5:
        data[at] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        return path, f"bit of byte {at:,} flipped"
    path.write_bytes(data[:at])
    return path, f"cut off at {at:,} of {len(data):,} bytes"


def find(base: Path, path: Path) -> str:
    """How a damage is noticed: `verify`, `opening` or an empty text."""
    damaged = path.read_bytes()
    try:
        with KnowledgeBase.open(base, create=False) as kb:
            defects = kb.verify() + [str(change) for change in kb.check_sources()]
    except WavRAGError as error:
        return "refused" if "kb repair" in str(error) else ""
    if defects:
        return "verify"
    return "" if path.exists() and path.read_bytes() == damaged else "opening"


def repair(base: Path, path: Path, before: Rows) -> str:
    """How a damage is repaired: `repaired`, `reported` or a fault."""
    if path.parent.name == "uploads":
        return "reported"  # the only copy of the file; its passages are intact
    try:
        report = repair_kb(base)
        JobBook(FolderRecords(base))  # as at the next start of the server
        for job in (base / "jobs").glob("*.damaged"):
            job.unlink()
        with KnowledgeBase.open(base, create=False) as kb:
            defects = kb.verify()
    except WavRAGError as error:
        return f"not repaired: {error}"
    if defects or report.losses:
        return f"not repaired: {[*defects, *report.losses][0]}"
    return "repaired" if read_rows(base) == before else "not repaired: other passages"


def main() -> int:
    """Print how many damages were found and repaired; the exit code is 1 if not all."""
    parser = argparse.ArgumentParser(description="Damage files of a knowledge base.")
    parser.add_argument("--count", type=int, default=300, help="damages (300)")
    options = parser.parse_args()
    start = time.monotonic()
    chance = random.Random(5)
    counts: Counter[str] = Counter()
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="wavrag-damage-") as name:
        base = build(Path(name))
        before = read_rows(base)
        intact = Path(name) / "intact"
        base.rename(intact)
        for _ in range(options.count):
            shutil.rmtree(base, ignore_errors=True)
            shutil.copytree(intact, base)
            path, kind = damage(base, chance)
            found = find(base, path)
            result = "repaired" if found == "opening" else repair(base, path, before)
            counts[f"found by {found or 'nothing'}"] += 1
            counts[result.partition(":")[0]] += 1
            if not found or result.startswith("not"):
                faults.append(f"{path.relative_to(base)}, {kind}: {found or 'not found'}, {result}")
    for label, count in sorted(counts.items()):
        print(f"{label:<24} {count:>4}")
    print(f"{options.count} damages, {len(faults)} faults, {time.monotonic() - start:.0f} s")
    for fault in faults[:20]:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
