"""The audit log: a line of JSON for every change, without content of documents."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from wavrag.errors import StoreError

# For handlers of an application that embeds the server.
logger = logging.getLogger("wavrag.audit")


class AuditLog:
    """Appends lines to a file, or passes them to the logger `wavrag.audit`.

    Args:
        path: the file; None for the logger.

    Raises:
        StoreError: the file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        if path is not None:
            self._append("")

    def record(
        self,
        principal: str,
        action: str,
        *,
        collection: str = "",
        documents: Sequence[str] = (),
        result: str | int,
    ) -> None:
        """Record a change.

        Args:
            principal: name of the user, or of the process.
            action: name of the operation, such as `remove_document`.
            collection: its collection; empty if it concerns none.
            documents: ids of documents.
            result: HTTP status of the reply, or the outcome of a job.

        Raises:
            StoreError: the file cannot be written.
        """
        fields = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"), "principal": principal,
            "action": action, "collection": collection, "documents": list(documents),
            "result": result,
        }  # fmt: skip
        line = json.dumps(fields)  # ASCII: a name with a line break must not forge a line
        if self._path is None:
            logger.info(line)
        else:
            self._append(f"{line}\n")

    def _append(self, text: str) -> None:
        assert self._path is not None
        try:
            # Opened for each line, so that log rotation can rename the file.
            with self._lock, self._path.open("a", encoding="ascii") as file:
                file.write(text)
        except OSError as error:
            reason = error.strerror or error
            raise StoreError(f"cannot write the audit log {self._path}: {reason}") from error
