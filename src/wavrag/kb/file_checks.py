"""Serve original files only with the content that was indexed.

A file may since have been replaced, also by a link to a file that nobody may read.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path

from wavrag.kb.kinds import is_recording
from wavrag.kb.passages import digest_file

CACHED_FILES = 1_000  # whose digests are kept; a recording of 1 GB takes a second to read


class FileChecks:
    """Checks files against the digests of their content when they were indexed."""

    def __init__(self) -> None:
        self._digests: OrderedDict[tuple[int, ...], str] = OrderedDict()

    def is_unchanged(self, path: str, digest: str) -> bool:
        """True for a file with this digest; its content is read once for each change of it.

        Raises:
            InputError: the file cannot be read.
        """
        if not os.path.isfile(path):
            return False
        status = os.stat(path)
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        file_digest = self._digests.pop(key, None) or digest_file(path)
        self._digests[key] = file_digest
        if len(self._digests) > CACHED_FILES:
            self._digests.popitem(last=False)
        return file_digest == digest


def is_beside(recording: str, transcript: str) -> bool:
    """True for a recording in the folder of its transcript, and not by a link to another one."""
    path = Path(recording).resolve()
    return (
        path.is_file()
        and path.is_relative_to(Path(transcript).resolve().parent)
        and is_recording(str(path))
    )
