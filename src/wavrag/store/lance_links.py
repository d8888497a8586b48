"""Open a LanceDB database in a folder without hard links: FAT, exFAT, some network shares.

LanceDB commits a version by linking its manifest to the next number, which fails if another process
was faster. Its scheme `file+uring` renames the manifest instead, and so replaces the version of
another process; the lock of `LanceStore` admits one writer at a time. LanceDB has it on Linux only.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote


def database_uri(path: Path) -> str:
    """The address of the database in a folder, for `lancedb.connect`; creates the folder.

    Raises:
        OSError: the folder cannot be created, or has no hard links outside Linux.
    """
    path.mkdir(parents=True, exist_ok=True)
    if has_hard_links(path):
        return str(path)
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, "no hard links")
    return f"file+uring://{quote(str(path.absolute()))}"


def has_hard_links(folder: Path) -> bool:
    """True if files in a folder can have hard links, or if the folder is not writable."""
    try:
        handle, probe = tempfile.mkstemp(dir=folder, prefix=".link-")
    except OSError:
        return True  # without writing, there is nothing to commit
    os.close(handle)
    try:
        os.link(probe, f"{probe}-2")
    except OSError:
        return False
    else:
        os.unlink(f"{probe}-2")
        return True
    finally:
        os.unlink(probe)
