"""Simulate losses of power while documents are added, replaced and removed.

    python benchmarks/attack/power.py --losses 200

Records every file operation of a writer with strace (Linux), replays them into a model of a disk
that knows what was synced, and writes the disk as a loss of power could leave it. Each loss happens
at a random operation or right after an acknowledgement, in one of three ways: nothing survives that
was not synced; names survive but not their content; or each operation survives by chance. Then the
knowledge base must open, hold everything acknowledged, and verify must find nothing.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from commits import expected_documents, find_faults

from wavrag.errors import WavRAGError

WRITER = Path(__file__).with_name("commits.py")
CALLS = "openat,open,creat,write,pwrite64,writev,lseek,ftruncate,close,fsync,fdatasync,rename,"
CALLS += "renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir"
LINE = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+)", re.DOTALL)
HEX = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
MODES = ("only synced data", "names without content", "by chance")


@dataclass(slots=True)
class Inode:
    """A file or a folder; `synced` is its state on disk."""

    content: bytes = b""
    synced: bytes = b""
    entries: dict[str, Inode] | None = None  # of a folder
    synced_entries: dict[str, Inode] = field(default_factory=dict)


class Disk:
    """A model of the file system below a folder."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.top = Inode(entries={})
        self._handles: dict[int, tuple[Inode, int]] = {}

    def apply(self, call: str, texts: list[bytes], rest: str, result: int) -> None:
        """Apply a system call that succeeded."""
        names = [text.decode("utf-8", "replace") for text in texts]
        numbers = [int(number) for number in re.findall(r"(?<![\w\"])-?\d+", rest)]
        match call:
            case "openat" | "open" | "creat":
                self._open(names[0], rest, result)
            case "write" | "pwrite64" | "writev":
                if numbers[0] in self._handles:
                    inode, offset = self._handles[numbers[0]]
                    data = b"".join(texts)
                    at = numbers[-1] if call == "pwrite64" else offset
                    before = inode.content[:at].ljust(at, b"\0")
                    inode.content = before + data + inode.content[at + len(data) :]
                    if call != "pwrite64":
                        self._handles[numbers[0]] = inode, at + len(data)
            case "lseek":
                if numbers[0] in self._handles:
                    self._handles[numbers[0]] = self._handles[numbers[0]][0], result
            case "ftruncate":
                if numbers[0] in self._handles:
                    inode = self._handles[numbers[0]][0]
                    inode.content = inode.content[: numbers[1]].ljust(numbers[1], b"\0")
            case "close":
                self._handles.pop(numbers[0], None)
            case "fsync" | "fdatasync":
                if numbers[0] in self._handles:
                    sync(self._handles[numbers[0]][0])
            case _:
                self._change_names(call, names)

    def _open(self, name: str, rest: str, handle: int) -> None:
        folder, key = self._find(name)
        if folder is None:
            return
        inode = folder.entries.get(key) if key else folder  # type: ignore[union-attr]
        if inode is None:
            inode = folder.entries[key] = Inode()  # type: ignore[index]
        if "O_TRUNC" in rest:
            inode.content = b""
        self._handles[handle] = inode, len(inode.content) if "O_APPEND" in rest else 0

    def _change_names(self, call: str, names: list[str]) -> None:
        folder, key = self._find(names[0])
        if call in ("mkdir", "mkdirat") and folder is not None and key:
            folder.entries[key] = Inode(entries={})  # type: ignore[index]
        elif call in ("unlink", "unlinkat", "rmdir") and folder is not None:
            folder.entries.pop(key, None)  # type: ignore[union-attr]
        elif call.startswith(("rename", "link")):
            target, new_key = self._find(names[1])
            if folder is not None and target is not None:
                target.entries[new_key] = folder.entries[key]  # type: ignore[index]
                if call.startswith("rename"):
                    del folder.entries[key]  # type: ignore[union-attr]

    def _find(self, name: str) -> tuple[Inode | None, str]:
        """The folder and the key of a path; None outside of the recorded folder."""
        if name == self._root:
            return self.top, ""
        if not name.startswith(f"{self._root}/"):
            return None, ""
        *folders, key = name[len(self._root) + 1 :].split("/")
        inode: Inode | None = self.top
        for part in folders:
            inode = inode.entries.get(part) if inode and inode.entries is not None else None
        return inode, key


def sync(inode: Inode) -> None:
    """Make the content or the entries durable."""
    if inode.entries is None:
        inode.synced = inode.content
    else:
        inode.synced_entries = dict(inode.entries)


def write_after_loss(inode: Inode, path: Path, mode: str, chance: random.Random) -> None:
    """Write what a loss of power leaves of a folder."""
    path.mkdir()
    assert inode.entries is not None
    entries = inode.synced_entries
    if mode == "names without content":
        entries = inode.entries
    elif mode == "by chance":
        changed = {key for key in entries.keys() | inode.entries.keys()
                   if entries.get(key) is not inode.entries.get(key)}  # fmt: skip
        kept = {key for key in changed if chance.random() < 0.5}
        mixed = {key: inode.entries.get(key) if key in kept else entries.get(key)
                 for key in entries.keys() | inode.entries.keys()}  # fmt: skip
        entries = {key: entry for key, entry in mixed.items() if entry is not None}
    for key, entry in entries.items():
        if entry.entries is not None:
            write_after_loss(entry, path / key, mode, chance)
            continue
        content = entry.synced
        if mode == "by chance" and content != entry.content:
            content = entry.content[: chance.randrange(len(entry.content) + 1)]
            content = content.ljust(len(entry.content), b"\0") if chance.random() < 0.5 else content
        (path / key).write_bytes(content)


def read_trace(path: Path) -> Iterator[tuple[str, list[bytes], str, int]]:
    """System calls that succeeded, in the order of their ends; `close` in that of its start."""
    unfinished: dict[str, str] = {}
    with path.open() as file:
        for line in file:
            pid, _, text = line.rstrip("\n").partition(" ")
            text = text.strip()
            if text.endswith("<unfinished ...>"):
                unfinished[pid] = text.removesuffix("<unfinished ...>")
                if not text.startswith("close("):
                    continue
                # Another thread can get the number of the file before this call is logged.
                text = f"{unfinished[pid].strip()}) = 0"
            elif text.startswith("<... close"):
                continue
            elif text.startswith("<... "):
                text = unfinished.pop(pid) + text.partition("resumed>")[2]
            match = LINE.match(f"{pid} {text}")
            if match and int(match[4]) >= 0:
                found = HEX.findall(match[3])
                texts = [bytes.fromhex(text.replace("\\x", "")) for text in found]
                yield match[2], texts, HEX.sub('""', match[3]), int(match[4])


def record(folder: Path, commits: int) -> Path:
    """Run the writer under strace; return the file of the trace."""
    trace = folder / "trace"
    command = ["strace", "-f", "-xx", "-s", "100000000", "-o", str(trace), "-e", f"trace={CALLS}"]
    writer = [sys.executable, str(WRITER), str(folder / "kb"), "0", str(commits)]
    subprocess.run([*command, *writer], check=True, stdout=subprocess.DEVNULL)
    return trace


def simulate(folder: Path, commits: int, losses: int) -> tuple[dict[str, int], list[str]]:
    """Record a writer, and lose power at random moments; losses by mode, and all faults."""
    chance = random.Random(3)
    calls = list(read_trace(record(folder, commits)))
    disk = Disk(str(folder / "kb"))
    ends = [
        at for at, (call, texts, rest, _) in enumerate(calls)
        if call == "write" and rest.startswith("1,") and b"ready" not in texts[0]
    ]  # fmt: skip
    lines = [calls[at][1][0].decode().strip() for at in ends]
    moments = chance.sample(ends, min(len(ends), losses // 2))
    moments += chance.choices(range(ends[0], len(calls)), k=losses - len(moments))
    counts = dict.fromkeys(MODES, 0)
    faults: list[str] = []
    acknowledged = 0
    for at, (call, texts, rest, result) in enumerate(calls):
        disk.apply(call, texts, rest, result)
        acknowledged += acknowledged < len(ends) and ends[acknowledged] == at
        for number in range(moments.count(at)):
            mode = MODES[(at + number) % len(MODES)]
            counts[mode] += 1
            expected = expected_documents(lines[:acknowledged])
            for line in lines[acknowledged : acknowledged + 1]:
                expected.pop(line.partition(" ")[2], None)  # in progress, and perhaps durable
            shutil.rmtree(folder / "lost", ignore_errors=True)
            write_after_loss(disk.top, folder / "lost", mode, chance)
            try:
                found = find_faults(folder / "lost", expected)
            except (WavRAGError, OSError, ValueError, RuntimeError) as error:
                found = [f"{type(error).__name__}: {error}"]
            faults += [f"operation {at}, {mode}: {fault}" for fault in found]
    print(f"{len(ends)} acknowledged changes, {len(calls):,} operations on files")
    return counts, faults


def main() -> int:
    """Print a table of losses by mode; the exit code is 1 if anything was lost."""
    parser = argparse.ArgumentParser(description="Simulate losses of power.")
    parser.add_argument("--commits", type=int, default=200, help="documents added (200)")
    parser.add_argument("--losses", type=int, default=200, help="losses of power (200)")
    options = parser.parse_args()
    if shutil.which("strace") is None:
        print("strace is missing: apt-get install strace", file=sys.stderr)
        return 2
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wavrag-power-") as name:
        counts, faults = simulate(Path(name).resolve(), options.commits, options.losses)
    for mode, count in counts.items():
        lost = sum(mode in fault for fault in faults)
        print(f"{mode:<24} {count:>4} losses of power, {lost} faults")
    print(f"{time.monotonic() - start:.0f} s")
    for fault in faults[:20]:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
