"""Find files to index."""

from __future__ import annotations

import fnmatch
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wavrag.arguments import check_paths
from wavrag.kb.kinds import detect_kind, suffix
from wavrag.kb.report import AddReport, UnreadFiles
from wavrag.text import Unread, is_archive
from wavrag.types import Channels, Document, Metadata


@dataclass(frozen=True, slots=True)
class FileScan:
    """Result of a search for files."""

    documents: tuple[Document, ...]
    skipped: tuple[tuple[str, str], ...]  # path and reason of each unusable file
    unread: tuple[UnreadFiles, ...] = ()  # files in folders of kinds that are not read
    archives: tuple[str, ...] = ()  # paths of archives, if they are to be read
    # Path of each link that leads out of its folder, and where it leads.
    links: tuple[tuple[str, str], ...] = ()

    @property
    def notes(self) -> list[tuple[str, str]]:
        """A remark for each link, for `AddReport.notes`."""
        return [
            (path, f"is a link out of the folder, and was followed to {target}")
            for path, target in self.links
        ]

    def add_to(self, report: AddReport) -> None:
        """Report the links, and the files that never reach the knowledge base, before others."""
        report.skipped[:0] = self.skipped
        report.unread += self.unread
        report.notes[:0] = self.notes

    def __add__(self, other: FileScan) -> FileScan:
        return FileScan(
            self.documents + other.documents,
            self.skipped + other.skipped,
            self.unread + other.unread,
            self.archives + other.archives,
            self.links + other.links,
        )


def find_files(
    paths: Sequence[str | os.PathLike[str]],
    globs: Sequence[str] = (),
    metadata: Metadata | None = None,
    channels: Channels = "auto",
    *,
    are_named: bool = True,
    archives: bool = False,
) -> FileScan:
    """Find files to index, each once and in a stable order.

    Folders are searched recursively, without hidden files and folders. The content of a file
    decides whether it is a recording or a document. Text of an unknown kind, such as source code,
    is read as plain text if its file is named, or matches one of the globs.

    Example:
        >>> scan = find_files(["notes", "meetings"], globs=["*.md", "*.mp3"])
        >>> report = kb.add(scan.documents)

    Args:
        paths: files and folders.
        globs: include only files whose name or path matches one of them; empty for all.
        metadata: assigned to every document.
        channels: of every recording; see `Document`.
        are_named: True if a file in `paths` of a kind that is not read is a mistake, to be listed
            in `skipped`; False if the files are those of a folder.
        archives: list zip and tar files in `archives`, for `KnowledgeBase.read_archives`.

    Raises:
        InputError: `paths` are no paths.
    """
    links: list[tuple[str, str]] = []
    skipped: list[tuple[str, str]] = []
    files = _list_files(paths, are_named, skipped, links)
    documents, archive_paths = [], []
    unread: dict[tuple[str, str], list[str]] = {}
    for path, is_named in files.items():
        if globs and not _matches(path, globs):
            continue
        if reason := _defect(path):
            skipped.append((path.encode("utf-8", "replace").decode(), reason))
            continue
        try:
            kind = detect_kind(path, as_text=is_named or bool(globs))
        except OSError as error:
            reason = error.strerror or str(error)
            skipped.append((path, f"{reason}: make it readable or leave it out"))
            continue
        if archives and isinstance(kind, Unread) and is_archive(kind):
            archive_paths.append(path)
        elif not isinstance(kind, Unread):
            documents.append(Document(path, path=path, metadata=metadata or {}, channels=channels))
        elif is_named:
            skipped.append((path, f"not read: {kind.reason}"))
        else:
            unread.setdefault((suffix(path), kind.reason), []).append(path)
    groups = [UnreadFiles(*key, tuple(paths)) for key, paths in sorted(unread.items())]
    return FileScan(
        tuple(documents), tuple(skipped), tuple(groups), tuple(archive_paths), tuple(links)
    )


def _list_files(
    paths: Sequence[str | os.PathLike[str]],
    are_named: bool,
    skipped: list[tuple[str, str]],
    links: list[tuple[str, str]],
) -> dict[str, bool]:
    """Files at and below the paths, each with True if a path names it; see `find_files`."""
    files: dict[str, bool] = {}
    for path in [_existing_form(os.path.abspath(os.fspath(path))) for path in check_paths(paths)]:
        if os.path.isdir(path):
            files.update(dict.fromkeys(_walk(path, skipped, links), False) | files)
        elif not os.path.lexists(path):
            remedy = "add it with `wavrag add-url`" if ":/" in path else "check the path"
            skipped.append((path, f"no such file or folder: {remedy}"))
        else:
            files[path] = are_named
    return files


def _matches(path: str, globs: Sequence[str]) -> bool:
    names = (path, os.path.basename(path))
    return any(fnmatch.filter(names, glob) for glob in globs)


def _existing_form(path: str) -> str:
    """A path in the Unicode form that exists: macOS decomposes the names of files."""
    forms = (path, *(unicodedata.normalize(form, path) for form in ("NFC", "NFD")))
    return next(filter(os.path.lexists, forms), path)


def _walk(
    folder: str, skipped: list[tuple[str, str]], links: list[tuple[str, str]]
) -> Iterator[str]:
    def skip_folder(error: OSError) -> None:
        reason = f"{error.strerror}: allow reading it (chmod) or leave it out"
        skipped.append((str(error.filename), reason))

    inside = os.path.join(os.path.realpath(folder), "")

    def note_link(path: str) -> None:
        if os.path.islink(path) and not (target := os.path.realpath(path)).startswith(inside):
            links.append((path, target))

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
        for name in folders:
            note_link(os.path.join(root, name))
        for name in sorted(names):
            if not name.startswith("."):
                note_link(path := os.path.join(root, name))
                yield path


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
