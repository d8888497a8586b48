"""Translate errors of LanceDB into messages with a remedy.

LanceDB raises RuntimeError, OSError and ValueError; only the message has the error number of the
operating system.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from wavrag.errors import StoreError

LANCE_ERRORS = (RuntimeError, OSError, ValueError)
PANIC = "RustPanic"  # class that is raised on damaged files; it cannot be imported

REMEDY = "run `wavrag kb repair`"

_OS_ERROR = re.compile(r"\(os error (\d+)\)")


# LanceDB's words for a commit that another writer has made impossible.
_CONFLICT = re.compile(
    r"commit conflict|too many concurrent writers|incompatible transaction", re.IGNORECASE
)


@contextmanager
def translate_errors(path: str, remedy: str = REMEDY) -> Iterator[None]:
    """Raise errors of LanceDB and of the operating system as `StoreError`.

    Args:
        path: folder or URL of the store.
        remedy: what to do about damage.
    """
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
        raise StoreError(_message(path, error, remedy)) from error


def is_lance_error(error: Exception) -> bool:
    """True for an error of LanceDB or of the operating system."""
    return isinstance(error, LANCE_ERRORS) or type(error).__name__ == PANIC


def is_conflict(error: Exception) -> bool:
    """True if another writer has made a commit impossible, so that it can be tried again."""
    return is_lance_error(error) and _CONFLICT.search(str(error)) is not None


def _message(path: str, error: Exception, remedy: str) -> str:
    if is_conflict(error):
        return f"{path}: other writers have changed it at every attempt: run again"
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
    return f"{path}: {lines[0]}: {remedy}"


def _os_error_number(error: Exception) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    match = _OS_ERROR.search(str(error))
    return int(match.group(1)) if match else None
