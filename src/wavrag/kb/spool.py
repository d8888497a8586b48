"""Keep the passages of long documents in a file until all of them can be stored."""

from __future__ import annotations

import errno
import pickle
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from itertools import starmap
from operator import attrgetter
from pathlib import Path
from typing import IO

import numpy as np

from wavrag.closing import Closing
from wavrag.errors import StoreError
from wavrag.store import StoredPassage
from wavrag.types import Passage

# Pickling the values alone takes a third of the time of dataclasses.
_values = attrgetter(*(field.name for field in fields(Passage)))
MEMORY_PASSAGES = 1_000  # of a document in memory: about 5 MB with vectors of 384 dimensions


class PassageSpool(Closing):
    """Passages of documents: the last ones in memory, and earlier ones in a temporary file.

    The file is in the folder of the knowledge base, because `/tmp` is often in memory. It has no
    name, so a killed process leaves nothing behind.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._recent: list[StoredPassage] = []
        self._batches = 0  # in the file
        self._count = 0
        self.audio_seconds = 0.0  # end of a recording; 0 for a text

    def __len__(self) -> int:
        return self._count

    @property
    def is_long(self) -> bool:
        """True if some passages are in the file."""
        return self._file is not None

    def append(self, record: StoredPassage) -> None:
        """Add a passage.

        Raises:
            StoreError: the disk is full or not writable.
        """
        if len(self._recent) >= MEMORY_PASSAGES:
            self._write()
        self._recent.append(record)
        if record.passage.modality == "audio":
            self.audio_seconds = max(self.audio_seconds, record.passage.end or 0.0)
        self._count += 1

    def __iter__(self) -> Iterator[StoredPassage]:
        """Yield the passages in order; call it once at a time."""
        if self._file is not None:
            self._file.seek(0)
            for _ in range(self._batches):
                values, matrix, lexical, hashes = pickle.load(self._file)
                yield from map(StoredPassage, starmap(Passage, values), matrix, lexical, hashes)
        yield from self._recent

    def close(self) -> None:
        """Delete the file."""
        if self._file is not None:
            self._file.close()

    def _write(self) -> None:
        rows = self._recent
        # Pickle is fast, and safe here: no other process can write to a file without a name.
        content = (
            [_values(row.passage) for row in rows],
            np.stack([row.vector for row in rows]),
            [row.lexical for row in rows],
            [row.content_hash for row in rows],
        )
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
            pickle.dump(content, self._file, pickle.HIGHEST_PROTOCOL)
        except OSError as error:
            reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
            raise StoreError(
                f"{self._folder}: {reason}: indexing needs space for the passages of the largest"
                " document twice; nothing already stored was lost"
            ) from error
        self._recent = []
        self._batches += 1
