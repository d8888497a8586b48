"""Translate errors of LanceDB into messages with a remedy.

LanceDB raises RuntimeError, OSError and ValueError; only the message has the error number of the
operating system.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wavrag.errors import StoreError

LANCE_ERRORS = (RuntimeError, OSError, ValueError)
PANIC = "RustPanic"  # class that is raised on damaged files; it cannot be imported

_OS_ERROR = re.compile(r"\(os error (\d+)\)")


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Raise errors of LanceDB and of the operating system as `StoreError`."""
    from filelock import Timeout

    try:
        yield
    except Timeout as error:
        raise StoreError(
            f"{path} is being written by another process: wait until it is done and run again"
        ) from error
    except Exception as error:
        if not is_lance_error(error):
            raise
        raise StoreError(_message(path, error)) from error


def is_lance_error(error: Exception) -> bool:
    """True for an error of LanceDB or of the operating system."""
    return isinstance(error, LANCE_ERRORS) or type(error).__name__ == PANIC


def _message(path: Path, error: Exception) -> str:
    if "io_uring" in str(error) or _os_error_number(error) == errno.ENOTSUP:
        # A sandbox can forbid io_uring, by which LanceDB writes without hard links on Linux.
        return (
            f"{path} cannot be written: its disk or network share has no hard links, and io_uring"
            " is not available: choose a folder on another disk"
        )
    match _os_error_number(error):
        case errno.ENOSPC | errno.EDQUOT:
            return (
                f"the disk is full and {path} cannot grow: free space and run again;"
                " nothing already stored was lost"
            )
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return f"{path} is not writable or not readable: check its permissions"
        case errno.ENOTDIR | errno.EEXIST:
            return f"{path} is not a directory: give another"
    lines = str(error).splitlines() or [type(error).__name__]
    return f"{path}: {lines[0]}: run `wavrag kb repair`"


def _os_error_number(error: Exception) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    match = _OS_ERROR.search(str(error))
    return int(match.group(1)) if match else None
