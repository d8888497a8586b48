"""Fill the disk at random moments while uploads are indexed, and check that nothing is lost.

    python benchmarks/attack/full_disk.py --moments 50

Needs the right to mount a small file system (Linux). At each moment, the free space is a random
size from nothing to more than a commit needs; uploads and removals are submitted meanwhile. Once
there is space again, everything acknowledged must be done without any help, the knowledge base must
hold exactly that, and verify must find nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client import Counter as Metric

from wavrag import KnowledgeBase
from wavrag.disk import sync_file, sync_folder
from wavrag.errors import StoreError
from wavrag.server import ServerOptions, job_runner
from wavrag.server.job_runner import JobRunner
from wavrag.server.jobs import JobBook, Upload
from wavrag.server.worker import JobWorker, generate_name
from wavrag.store import FolderRecords

SPACE = 400 << 20  # bytes of the file system; old versions of the store stay for ten minutes
LARGEST_GAP = 200_000  # bytes left free; a commit needs about 60,000
PATIENCE = 60.0  # seconds for a job once there is space


class FullDisk:
    """A server's writer on a small disk."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self._chance = chance
        self._kb = KnowledgeBase.open(folder / "kb", embedder="fake")
        self._uploads = folder / "kb" / "uploads"
        self._uploads.mkdir()
        self._worker = self._start_worker()
        self.texts: dict[str, str] = {}  # of acknowledged uploads by document id
        self.counts: Counter[str] = Counter()

    def _start_worker(self) -> JobWorker:
        metric = Metric("jobs", "", ["kind", "state"], registry=CollectorRegistry())
        jobs = JobBook(FolderRecords(self.folder / "kb"))
        writer = JobWorker(jobs, JobRunner(self._kb, jobs, ServerOptions(), metric))
        writer.start()
        return writer

    def run_moment(self, number: int) -> list[str]:
        """Fill the disk, submit jobs, free the disk; return the faults."""
        ballast = self.folder / "ballast"
        state = os.statvfs(self.folder)
        gap = self._chance.randrange(LARGEST_GAP)
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, state.f_bavail * state.f_frsize - gap))
        for part in range(3):
            self._submit(f"{number}-{part}")
        time.sleep(0.3)
        self.counts[f"writer {self._worker.condition}"] += 1
        if number % 5 == 4:  # a new process finds the disk full
            self._worker.stop()
            self._worker = self._start_worker()
        ballast.unlink()
        deadline = time.monotonic() + PATIENCE
        while self._worker.count_pending() and time.monotonic() < deadline:
            time.sleep(0.01)
        return self._find_faults()

    def _submit(self, name: str) -> None:
        text = f"Upload {name} says {self._chance.random()}. " * self._chance.choice((1, 500))
        if self.texts and self._chance.random() < 0.2:
            removed = self._chance.choice(sorted(self.texts))
            try:
                self._worker.submit([], [removed])
                del self.texts[removed]
                self.counts["removals acknowledged"] += 1
            except StoreError:
                self.counts["removals refused"] += 1
            return
        path = self._uploads / generate_name(".txt")
        try:
            path.write_text(text)
            sync_file(path)
            sync_folder(self._uploads)
            upload = Upload(f"upload-{name}", path.name, name, name, len(text), {})
            self._worker.submit([upload], [])
        except (OSError, StoreError):
            path.unlink(missing_ok=True)
            self.counts["uploads refused"] += 1
        else:
            self.texts[f"upload-{name}"] = text
            self.counts["uploads acknowledged"] += 1

    def _find_faults(self) -> list[str]:
        faults = self._kb.verify()
        if self._worker.count_pending():
            faults.append("a job was not finished although there was space")
        stored = {document.id for document in self._kb.documents()}
        faults += [f"{id} was acknowledged and is lost" for id in self.texts.keys() - stored]
        faults += [f"{id} was not acknowledged" for id in stored - self.texts.keys()]
        for id in stored & self.texts.keys():
            text, end = self.texts[id], self.texts[id].rindex("Upload")
            passages = [passage.text or "" for passage in self._kb.passages(id)]
            if not text.startswith(passages[0]) or not passages[-1].endswith(text[end:].strip()):
                faults.append(f"{id} is not whole")
        return faults

    def close(self) -> None:
        """Stop the writer."""
        self._worker.stop()
        self._kb.close()


def main() -> int:
    """Print counts; the exit code is 1 if anything was lost."""
    parser = argparse.ArgumentParser(description="Fill the disk at random moments.")
    parser.add_argument("--moments", type=int, default=50, help="times the disk is full (50)")
    options = parser.parse_args()
    job_runner.FULL_DISK_DELAY = 0.05
    start = time.monotonic()
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="wavrag-disk-") as name:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SPACE}", "tmpfs", name]
        if subprocess.run(mount, check=False).returncode:
            print("mounting a small disk is not permitted here", file=sys.stderr)
            return 2
        try:
            disk = FullDisk(Path(name), random.Random(6))
            for number in range(options.moments):
                faults += [f"moment {number}: {fault}" for fault in disk.run_moment(number)]
            disk.close()
        finally:
            subprocess.run(["umount", "--lazy", name], check=True)
    for label, count in sorted(disk.counts.items()):
        print(f"{label:<32} {count:>4}")
    seconds = time.monotonic() - start
    print(f"{options.moments} moments, {len(faults)} faults, {seconds:.0f} s")
    for fault in faults[:20]:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
