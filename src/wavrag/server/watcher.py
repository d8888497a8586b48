"""The thread that indexes the changes of folders while the server runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence

from wavrag.errors import WavRAGError
from wavrag.kb import AddReport, KnowledgeBase

logger = logging.getLogger(__name__)


class FolderWatcher:
    """Indexes folders and their changes from `start` to `stop`.

    Raises:
        InputError: one of the folders does not exist.
    """

    def __init__(self, kb: KnowledgeBase, folders: Sequence[str]) -> None:
        self._stop = threading.Event()
        # Uploads are indexed at the same time: each commit of the store stands alone.
        reports = kb.watch(folders, stop=self._stop, on_note=logger.warning) if folders else None
        self._thread = threading.Thread(target=_run, args=(reports,), name="wavrag-watch")

    def start(self) -> None:
        """Index the folders, then wait for changes."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current passage; complete documents are stored."""
        self._stop.set()
        self._thread.join()


def _run(reports: Iterator[AddReport] | None) -> None:
    try:
        for report in reports or ():
            for source, reason in report.skipped:
                logger.warning("skipped: %s: %s", source, reason)
    except WavRAGError as error:
        logger.error("folders are no longer watched: %s", error)
