"""Index the changes of folders as they happen."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from wavrag.errors import InputError, WavRAGError
from wavrag.kb.files import find_files
from wavrag.kb.report import AddReport, Progress, ProgressCallback
from wavrag.types import Channels, Metadata, NoteCallback, OnNote

if TYPE_CHECKING:
    from wavrag.kb.knowledge_base import KnowledgeBase

SETTLE_SECONDS = 2.0  # without a change before a file is read: it may still be copied
MAX_DELAY = 60.0  # seconds after which a file that keeps changing, such as a log, is read anyway
RETRY_SECONDS = 30.0  # after a failure of the disk or of the embedder
WAKE_SECONDS = 1.0  # between two looks at files that have settled, and at the folders themselves
POLL_SECONDS = 5.0  # between two comparisons of all files, for folders without events

# Device and inode: other ones under the same path mean that a disk was mounted or unmounted.
Identity = tuple[int, int]


class _WatchStop(Exception):  # noqa: N818 - not an error
    """Ends an `add` between two passages; complete documents are stored."""


def watch_folders(
    kb: KnowledgeBase,
    folders: Sequence[str | os.PathLike[str]],
    *,
    globs: Sequence[str],
    metadata: Metadata | None,
    channels: Channels,
    stop: threading.Event | None,
    on_progress: ProgressCallback | None,
    on_note: OnNote,
    polling: bool,
) -> Iterator[AddReport]:
    """Index folders and their changes; see `KnowledgeBase.watch`."""
    # Not in a generator: a wrong folder must fail at the call, not at the first report.
    check_folders(folders)
    roots = [os.path.abspath(folder) for folder in folders]
    watcher = _Watcher(
        kb, roots, globs, metadata, channels, stop=stop or threading.Event(),
        on_progress=on_progress, on_note=on_note or (lambda message: None),
    )  # fmt: skip
    return watcher.run(polling)


def check_folders(folders: Sequence[str | os.PathLike[str]]) -> None:
    """Check folders to watch.

    Raises:
        InputError: one of them does not exist, or is a file.
    """
    for folder in folders:
        if not os.path.isdir(folder):
            raise InputError(f"{folder} is not a folder: name folders to watch")


class _Watcher:
    def __init__(
        self,
        kb: KnowledgeBase,
        roots: Sequence[str],
        globs: Sequence[str],
        metadata: Metadata | None,
        channels: Channels,
        *,
        stop: threading.Event,
        on_progress: ProgressCallback | None,
        on_note: NoteCallback,
    ) -> None:
        self._kb = kb
        self._roots = roots
        self._globs = globs
        self._metadata = metadata
        self._channels = channels
        self._stop = stop
        self._on_progress = on_progress
        self._on_note = on_note
        self._devices = {root: os.stat(root).st_dev for root in roots}
        kb_paths = set()
        if kb.directory is not None:
            kb_paths = {os.path.abspath(kb.directory), os.path.realpath(kb.directory)}
        self._kb_prefixes = tuple(os.path.join(path, "") for path in kb_paths)
        # Times of the first and the last event of each path that is not yet indexed.
        self._pending: dict[str, tuple[float, float]] = {}

    def run(self, polling: bool) -> Iterator[AddReport]:
        """Yield a report of all files, then one for each change of the index."""
        missing: set[str] = set()
        with suppress(_WatchStop):
            while not self._stop.is_set():
                identities = self._identities()
                for root in missing ^ (set(self._roots) - identities.keys()):
                    state = "is back" if root in missing else "is gone: waiting for it"
                    self._on_note(f"{root} {state}")
                missing = set(self._roots) - identities.keys()
                if identities:
                    yield from self._watch(identities, polling)
                else:
                    self._stop.wait(WAKE_SECONDS)

    def _identities(self) -> dict[str, Identity]:
        """The folders that exist now."""
        identities = {}
        for root in self._roots:
            with suppress(OSError):
                status = os.stat(root)
                identities[root] = (status.st_dev, status.st_ino)
        return identities

    def _watch(self, identities: Mapping[str, Identity], polling: bool) -> Iterator[AddReport]:
        """Watch until a folder appears, disappears or is another one under the same path."""
        from watchfiles import Change, watch

        changes = watch(
            *identities,
            # The change of a folder is one of its files, which has an event of its own.
            watch_filter=lambda change, path: (
                self._is_visible(path) and not (change is Change.modified and os.path.isdir(path))
            ),
            stop_event=self._stop,
            rust_timeout=round(1e3 * WAKE_SECONDS),
            yield_on_timeout=True,
            force_polling=polling or None,
            poll_delay_ms=round(1e3 * POLL_SECONDS),
            ignore_permission_denied=True,
        )
        is_indexed = False
        try:
            for batch in changes:
                now = time.monotonic()
                for _, path in batch:
                    name = self._as_named(path)
                    first, _ = self._pending.get(name, (now, now))
                    self._pending[name] = first, now
                if not is_indexed:
                    # Only now: changes during the first run are events already.
                    is_indexed = True
                    yield self._index(list(identities))
                elif self._identities() != identities:
                    return
                elif paths := self._select_settled(now):
                    report = self._retry(paths)
                    lists = (report.added, report.updated, report.moved, report.copies)
                    if any(lists) or report.removed or report.skipped:
                        yield report
        except FileNotFoundError:
            return  # a folder vanished before it was watched
        except OSError as error:
            raise InputError(
                f"cannot watch {', '.join(identities)} ({error}): raise the limit of the system"
                " (Linux: sysctl fs.inotify.max_user_watches), or compare files instead (--poll)"
            ) from error

    def _is_visible(self, path: str) -> bool:
        """False for hidden files and folders, and for the knowledge base itself."""
        path = self._as_named(path)
        if path.startswith(self._kb_prefixes):
            return False
        return any(
            not any(name.startswith(".") for name in path[len(root) :].split(os.sep))
            for root in self._roots
            if _is_below(path, root)
        )

    def _as_named(self, path: str) -> str:
        """A path below the folder as the user named it; macOS reports it without links."""
        for root in self._roots:
            real = os.path.realpath(root)
            if real != root and _is_below(path, real):
                return root + path[len(real) :]
        return path

    def _select_settled(self, now: float) -> list[str]:
        return [
            path
            for path, (first, last) in self._pending.items()
            if now - last >= SETTLE_SECONDS or now - first >= MAX_DELAY
        ]

    def _retry(self, paths: Sequence[str]) -> AddReport:
        """Index changed paths; if that fails, try again later."""
        events = {path: self._pending.pop(path) for path in paths}
        try:
            return self._index(paths)
        except WavRAGError as error:
            self._on_note(f"{error}; trying again in {RETRY_SECONDS:g} s")
            later = time.monotonic() + RETRY_SECONDS - SETTLE_SECONDS
            self._pending |= dict.fromkeys(events, (later, later))
            return AddReport()

    def _index(self, paths: Sequence[str]) -> AddReport:
        """Add the files at or below paths, and remove the documents whose files were deleted."""
        existing = [path for path in paths if os.path.lexists(path)]
        scan = find_files(existing, self._globs, self._metadata, self._channels, are_named=False)
        report = self._kb.add(scan.documents, on_progress=self._observe)
        scan.add_to(report)
        # After adding: a renamed file is known under its new name by now.
        report.removed = self._kb.remove_deleted([path for path in paths if self._may_prune(path)])
        return report

    def _may_prune(self, path: str) -> bool:
        """False if the disk of a folder may be unmounted, which is no deletion of its files."""
        for root, device in self._devices.items():
            if _is_below(path, root):
                # The folder of an unmounted disk still exists, and is empty.
                return (
                    os.path.isdir(root)
                    and os.stat(root).st_dev == device
                    and (path != root or bool(os.listdir(root)))
                )
        return False

    def _observe(self, progress: Progress) -> None:
        if self._stop.is_set():
            raise _WatchStop
        if self._on_progress is not None:
            self._on_progress(progress)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))
