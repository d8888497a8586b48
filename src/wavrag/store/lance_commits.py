"""Make commits of LanceDB durable, and notice damage to its files.

LanceDB syncs nothing, so a power loss can leave a commit whose files are empty. After each commit,
its files and their folders are synced here; then `commit.json` records the version and checksums of
all files. Only then the commit is acknowledged. A version after the recorded one was never
acknowledged: it is undone.
"""

from __future__ import annotations

import base64
import json
import math
import os
import random
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from wavrag.disk import block_sums, read_json, sync_paths, write_file, write_json
from wavrag.errors import StoreError
from wavrag.store.lance_documents import DocumentTallies, log_lines, read_log

FILE = "commit.json"
VERSIONS = "_versions"
MANIFEST_END = b"LANC"
# The only file that LanceDB replaces, with the number of the newest version. It works without it.
_HINT = "latest_version_hint.json"

# The log is rewritten once it has this many lines more than twice the documents.
LOG_SLACK = 1000


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """Content of `commit.json`: the acknowledged state of a table."""

    version: int
    log: str  # name of the log of documents
    log_bytes: int  # later ones were not acknowledged
    log_sum: int  # CRC-32
    log_lines: int
    log_documents: int  # lines when the log was last rewritten
    manifest: str  # copy of the version's manifest, in base64: without it, a table is lost
    is_cleaning: bool = False  # old files are being deleted, so files may be missing
    # By path in the folder of the table: size, then CRC-32 of each block.
    files: dict[str, list[int]] = field(default_factory=dict)

    def has_log(self, folder: Path) -> bool:
        """True if the log is there and undamaged."""
        try:
            with (folder / self.log).open("rb") as file:
                return zlib.crc32(file.read(self.log_bytes)) == self.log_sum
        except FileNotFoundError:
            return False


class CommitFolder:
    """The commits of a table in the folder of a store; written under the store's lock.

    Args:
        folder: folder of the store.
        table: name of the table.
    """

    def __init__(self, folder: Path, table: str) -> None:
        self._folder = folder
        self._table = folder / f"{table}.lance"
        self._hint = self._table / VERSIONS / _HINT
        self._parents = frozenset(folder.parents)
        self._record: CommitRecord | None = None
        self._stamp: tuple[int, ...] = ()

    def read(self) -> CommitRecord | None:
        """The acknowledged state; None for a table of an earlier version, or without a commit.

        Raises:
            StoreError: it is damaged.
        """
        path = self._folder / FILE
        try:
            stamp = _stamp(path)
            if stamp != self._stamp:
                self._record = CommitRecord(**read_json(path))
                self._stamp = stamp
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise StoreError(f"{path} is damaged ({error}): run `wavrag kb repair`") from error
        return self._record

    def stamp(self) -> tuple[int, ...] | None:
        """A value that changes with each commit; None before the first one."""
        try:
            return _stamp(self._folder / FILE)
        except FileNotFoundError:
            return None

    def latest_version(self) -> int:
        """The newest version on disk, acknowledged or not; 0 for no table."""
        return max((version for version, _ in self.manifests()), default=0)

    def manifests(self) -> list[tuple[int, Path]]:
        """Versions and their manifests, newest first."""
        manifests = []
        for path in (self._table / VERSIONS).glob("*.manifest"):
            number = int(path.stem)
            # LanceDB counts down, so that the newest version is listed first.
            manifests.append((2**64 - 1 - number if len(path.stem) == 20 else number, path))
        return sorted(manifests, reverse=True)

    def acknowledge(
        self,
        version: int,
        changed: DocumentTallies | None = None,
        removed: list[str] | None = None,
        *,
        new_log: bool = False,
        is_cleaning: bool = False,
    ) -> None:
        """Sync the files of the newest version and record it.

        Args:
            version: the newest version.
            changed: new and changed documents; all documents with `new_log`.
            removed: ids of removed documents.
            new_log: write a new log instead of lines at the end.
            is_cleaning: see `CommitRecord`.

        Raises:
            OSError: the disk is full or not writable.
        """
        before = self.read()
        files = self._list_files(before.files if before else {})
        new = [self._table / name for name in files if before is None or name not in before.files]
        lines = log_lines(changed or {}, removed or ())
        log = self._write_log(version, lines, None if new_log else before)
        manifest = base64.b64encode(dict(self.manifests())[version].read_bytes()).decode()
        folders = {parent for path in new for parent in path.parents if parent not in self._parents}
        if before is None:  # the entry of the store in its own folder
            folders.add(self._folder.parent)
        # All at once, before the record that refers to them.
        sync_paths([*new, self._folder / log["log"], *folders])
        record = CommitRecord(
            version, manifest=manifest, is_cleaning=is_cleaning, files=files, **log
        )
        # Not `asdict`, which copies the lists of all files.
        values = {field.name: getattr(record, field.name) for field in fields(record)}
        write_json(self._folder / FILE, values)
        self._record, self._stamp = record, _stamp(self._folder / FILE)
        if before is not None and before.log != record.log:
            (self._folder / before.log).unlink(missing_ok=True)

    def documents(self) -> DocumentTallies:
        """The acknowledged documents, as far as the log is readable."""
        try:
            record = self.read()
        except StoreError:
            record = None
        logs = [record.log] if record else sorted(p.name for p in self._folder.glob("log-*.jsonl"))
        data = b""
        for name in logs[-1:]:
            with suppress(FileNotFoundError):
                data = (self._folder / name).read_bytes()
        return read_log(data[: record.log_bytes] if record else data)

    def restore_manifest(self) -> bool:
        """Write the manifest of the recorded version again; False if it is undamaged."""
        record = self.read()
        if record is None:
            return False
        content = base64.b64decode(record.manifest)
        path = self._table / VERSIONS / f"{2**64 - 1 - record.version:020}.manifest"
        if path.is_file() and path.read_bytes() == content:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, content)
        return True

    def has_versions_older_than(self, seconds: float) -> bool:
        """True if a version before the newest one is older."""
        limit = time.time() - seconds
        with suppress(FileNotFoundError):  # another process is deleting them
            return any(path.stat().st_mtime < limit for _, path in self.manifests()[1:])
        return False

    def needs_new_log(self) -> bool:
        """True if most lines of the log are outdated."""
        record = self.read()
        return record is not None and record.log_lines > 2 * record.log_documents + LOG_SLACK

    def drop_versions(self, after: int, before: int = sys.maxsize) -> None:
        """Delete the manifests of versions that were not acknowledged."""
        for version, path in self.manifests():
            if after < version < before:
                path.unlink()
        self._hint.unlink(missing_ok=True)

    def drop_incomplete_versions(self, after: int) -> None:
        """Delete manifests without their end; opening them makes LanceDB panic."""
        for version, path in self.manifests():
            if version > after and not path.read_bytes().endswith(MANIFEST_END):
                path.unlink()

    def has_wrong_hint(self) -> bool:
        """True if the hint is damaged, or names a version that was undone."""
        try:
            hint: object = json.loads(self._hint.read_bytes())
            return hint != {"version": self.latest_version()}
        except FileNotFoundError:
            return False
        except ValueError:
            return True

    def damaged_files(self, share: float = 1.0) -> list[str]:
        """Paths in the store's folder of files that differ from their checksums, or are missing.

        Args:
            share: share of the blocks to read, from 0 to 1, chosen at random.

        Raises:
            StoreError: `commit.json` is damaged.
        """
        while True:
            record = self.read()
            defects = sorted(self._find_defects(record, share)) if record is not None else []
            # Another process may have replaced the files in the meantime.
            if not defects or self.read() == record:
                return defects

    def _find_defects(self, record: CommitRecord, share: float) -> Iterator[str]:
        for name, blocks in _sample_blocks(record.files, share).items():
            size, *sums = record.files[name]
            path = self._table / name
            try:
                is_whole = path.stat().st_size == size and block_sums(path, blocks) == {
                    block: sums[block] for block in blocks
                }
            except FileNotFoundError:
                is_whole = record.is_cleaning
            if not is_whole:
                yield f"{self._table.name}/{name}"
        if not record.has_log(self._folder):
            yield record.log

    def _list_files(self, known: dict[str, list[int]]) -> dict[str, list[int]]:
        """All files with their checksums; files never change, so known ones are not read again."""
        files: dict[str, list[int]] = {}
        # Not `rglob`: a busy store has thousands of files, which are listed at each commit.
        for folder, _, names in os.walk(self._table, onerror=_raise):
            prefix = os.path.relpath(folder, self._table).replace(os.sep, "/")
            for name in names:
                # Other files are being written, or were left by a killed process.
                if not name.startswith(".") and "#" not in name:
                    key = name if prefix == "." else f"{prefix}/{name}"
                    sums = known.get(key)
                    files[key] = sums if sums is not None else file_sums(self._table / key)
        files.pop(f"{VERSIONS}/{_HINT}", None)
        return files

    def _write_log(self, version: int, lines: bytes, before: CommitRecord | None) -> dict[str, Any]:
        """Append to the log, or write a new one; return the fields of the record."""
        count = lines.count(b"\n")
        if before is None:
            name = f"log-{version}.jsonl"
            (self._folder / name).write_bytes(lines)
            return {
                "log": name, "log_bytes": len(lines), "log_sum": zlib.crc32(lines),
                "log_lines": count, "log_documents": count,
            }  # fmt: skip
        if lines:
            with (self._folder / before.log).open("r+b") as file:
                file.seek(before.log_bytes)
                file.truncate()
                file.write(lines)
        return {
            "log": before.log, "log_bytes": before.log_bytes + len(lines),
            "log_sum": zlib.crc32(lines, before.log_sum),
            "log_lines": before.log_lines + count, "log_documents": before.log_documents,
        }  # fmt: skip


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes whenever the file is replaced."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _raise(error: OSError) -> None:
    raise error


def file_sums(path: Path) -> list[int]:
    """Size of a file and the CRC-32 of each block, as in `CommitRecord.files`."""
    return [path.stat().st_size, *block_sums(path).values()]


def _sample_blocks(files: Mapping[str, list[int]], share: float) -> dict[str, list[int]]:
    """Numbers of the blocks to read, by file."""
    blocks = [(name, block) for name, sums in files.items() for block in range(len(sums) - 1)]
    sample: dict[str, list[int]] = {name: [] for name in files}  # the size of each is checked
    for name, block in random.sample(blocks, math.ceil(share * len(blocks))):
        sample[name].append(block)
    return sample
