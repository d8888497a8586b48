"""The thread that indexes the changes of folders while the server runs."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from wavrag.errors import WavRAGError
from wavrag.kb import AddReport, KnowledgeBase, Progress, UnreadFiles
from wavrag.server.jobs import now

logger = logging.getLogger(__name__)

WatchState: TypeAlias = Literal["off", "indexing", "watching", "stopped"]
MAX_RUNS = 20  # kept for display


class FolderWatcher:
    """Indexes folders and their changes from `start` to `stop`.

    Attributes:
        folders: the watched folders.
        state: `off` without folders, `stopped` after an error.
        error: message of the error.
        runs: time and numbers of changed documents of the latest runs, oldest first.
        skipped: reasons by source, of files that could not be indexed.

    Raises:
        InputError: one of the folders does not exist.
    """

    def __init__(self, kb: KnowledgeBase, folders: Sequence[str]) -> None:
        self.folders = tuple(folders)
        self.state: WatchState = "indexing" if folders else "off"
        self.error: str | None = None
        self.runs: deque[dict[str, Any]] = deque(maxlen=MAX_RUNS)
        self.skipped: dict[str, str] = {}
        self._unread: dict[str, UnreadFiles] = {}  # by kind
        self._stop = threading.Event()
        # Uploads are indexed at the same time: each commit of the store stands alone.
        reports = (
            kb.watch(
                folders, stop=self._stop, on_progress=self._observe, on_note=logger.warning
            ) if folders else None
        )  # fmt: skip
        self._thread = threading.Thread(target=self._run, args=(reports,), name="wavrag-watch")

    @property
    def unread(self) -> list[UnreadFiles]:
        """Files of kinds that are not read, without those deleted since."""
        present = [
            replace(unread, files=tuple(file for file in unread.files if Path(file).exists()))
            for unread in self._unread.values()
        ]
        return [unread for unread in present if unread.files]

    def start(self) -> None:
        """Index the folders, then wait for changes."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current passage; complete documents are stored."""
        self._stop.set()
        self._thread.join()

    def _run(self, reports: Iterator[AddReport] | None) -> None:
        try:
            for report in reports or ():
                self._record(report)
        except WavRAGError as error:
            logger.error("folders are no longer watched: %s", error)
            self.state, self.error = "stopped", str(error)
        except Exception:
            # Otherwise the page would go on to show that the folders are watched.
            logger.exception("folders are no longer watched")
            self.state, self.error = "stopped", "internal server error: see the log of the server"

    def _observe(self, progress: Progress) -> None:
        self.state = "indexing" if progress.documents < progress.total else "watching"

    def _record(self, report: AddReport) -> None:
        self.state = "watching"
        counts = {
            name: len(getattr(report, name)) for name in ("added", "updated", "moved", "removed")
        }
        if any(counts.values()):
            self.runs.append({"ended": now(), **counts})
        skipped = {**self.skipped, **dict(report.skipped)}
        indexed = {*report.added, *report.updated, *report.unchanged}
        # Replaced at once: a request may be reading the earlier dictionary.
        self.skipped = {
            source: reason for source, reason in skipped.items()
            if source not in indexed and Path(source.partition("!/")[0]).exists()
        }  # fmt: skip
        for source, reason in report.skipped:
            # Messages of errors often begin with the path.
            logger.warning("skipped: %s: %s", source, reason.removeprefix(f"{source}: "))
        unread = dict(self._unread)
        for files in report.unread:
            earlier = unread[files.kind].files if files.kind in unread else ()
            paths = tuple(dict.fromkeys((*earlier, *files.files)))
            unread[files.kind] = replace(files, files=paths)
        self._unread = unread
