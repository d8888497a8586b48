"""Fingerprint a folder of weights without reading gigabytes."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

# Bytes. Of larger files only the beginning and the end are hashed, since reading gigabytes would
# delay every start.
FULL_HASH_BYTES = 1 << 20


def hash_files(digest: hashlib._Hash, folder: Path, suffixes: Collection[str]) -> None:
    """Update a digest with the names, sizes and contents of all files with these suffixes."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in suffixes:
            size = path.stat().st_size
            digest.update(f"{path.relative_to(folder)} {size}".encode())
            with path.open("rb") as stored:
                digest.update(stored.read(FULL_HASH_BYTES))
                if size > FULL_HASH_BYTES:
                    stored.seek(-FULL_HASH_BYTES // 2, 2)
                    digest.update(stored.read())
