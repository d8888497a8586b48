"""Find files to index."""

from __future__ import annotations

import fnmatch
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wavrag import audio, text
from wavrag.types import Channels, Document, Metadata

KNOWN_SUFFIXES = audio.AUDIO_SUFFIXES | text.TEXT_SUFFIXES


@dataclass(frozen=True, slots=True)
class FileScan:
    """Result of a search for files."""

    documents: tuple[Document, ...]
    skipped: tuple[tuple[str, str], ...]  # path and reason of each unusable file


def find_files(
    paths: Sequence[str | os.PathLike[str]],
    globs: Sequence[str] = (),
    metadata: Metadata | None = None,
    channels: Channels = "auto",
) -> FileScan:
    """Find files to index, each once and in a stable order.

    Folders are searched recursively for files with a known suffix, without hidden files and
    folders. A file named in `paths` is included even if it is hidden, but skipped with a reason
    if its suffix is unknown.

    Example:
        >>> scan = find_files(["notes", "meetings"], globs=["*.md", "*.mp3"])
        >>> report = kb.add(scan.documents)

    Args:
        paths: files and folders.
        globs: include only files whose name or path matches one of them; empty for all.
        metadata: assigned to every document.
        channels: of every recording; see `Document`.
    """
    files: dict[str, None] = {}
    skipped: list[tuple[str, str]] = []
    for path in [_existing_form(os.path.abspath(os.fspath(path))) for path in paths]:
        if os.path.isdir(path):
            files.update(dict.fromkeys(_walk(path, skipped)))
        elif not os.path.lexists(path):
            remedy = "add it with `wavrag add-url`" if ":/" in path else "check the path"
            skipped.append((path, f"no such file or folder: {remedy}"))
        elif suffix(path) in KNOWN_SUFFIXES:
            files[path] = None
        else:
            suffixes = " ".join(sorted(KNOWN_SUFFIXES))
            skipped.append((path, f"unknown kind of file: convert it to one of {suffixes}"))
    documents = []
    for path in files:
        names = (path, os.path.basename(path))
        if globs and not any(fnmatch.filter(names, glob) for glob in globs):
            continue
        if reason := _defect(path):
            skipped.append((path.encode("utf-8", "replace").decode(), reason))
            continue
        documents.append(Document(path, path=path, metadata=metadata or {}, channels=channels))
    return FileScan(tuple(documents), tuple(skipped))


def suffix(path: str) -> str:
    """Lower-case suffix with its dot."""
    return os.path.splitext(path)[1].lower()


def _existing_form(path: str) -> str:
    """A path in the Unicode form that exists: macOS decomposes the names of files."""
    forms = (path, *(unicodedata.normalize(form, path) for form in ("NFC", "NFD")))
    return next(filter(os.path.lexists, forms), path)


def _walk(folder: str, skipped: list[tuple[str, str]]) -> Iterator[str]:
    def skip_folder(error: OSError) -> None:
        reason = f"{error.strerror}: allow reading it (chmod) or leave it out"
        skipped.append((str(error.filename), reason))

    folder_ids: set[tuple[int, int]] = set()
    for root, folders, names in os.walk(folder, onerror=skip_folder, followlinks=True):
        status = os.stat(root)
        if (status.st_dev, status.st_ino) in folder_ids:
            # A symbolic link back to a folder above would recurse forever.
            folders.clear()
            continue
        folder_ids.add((status.st_dev, status.st_ino))
        if "kb.json" in names and "store" in folders:
            # A knowledge base; the originals in it are documents already.
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if suffix(name) in KNOWN_SUFFIXES and not name.startswith("."):
                yield os.path.join(root, name)


def _defect(path: str) -> str | None:
    """Reason why a path cannot be indexed; None if there is none."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is not valid UTF-8: rename it"
    # Opening a pipe would block until another process writes to it.
    if os.path.exists(path) and not os.path.isfile(path):
        return "is a pipe or a device, not a file: leave it out"
    return None
