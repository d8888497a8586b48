"""Compare the files of a knowledge base with the documents made of them, and find moved ones."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from wavrag.errors import InputError
from wavrag.kb.copies import is_deleted
from wavrag.kb.files import find_files
from wavrag.kb.kinds import suffix
from wavrag.kb.passages import digest_file, file_digest_of
from wavrag.store import StoredDocument

SourceState: TypeAlias = Literal["moved", "replaced", "deleted", "unreadable"]


@dataclass(frozen=True, slots=True)
class SourceChange:
    """A file that is no longer what a document was made of."""

    document_id: str
    path: str
    state: SourceState  # `replaced`: its content has changed since
    found_at: str | None = None  # path of a file with the content of the document


def find_changes(
    documents: Iterable[StoredDocument], folders: Sequence[str | os.PathLike[str]] = ()
) -> list[SourceChange]:
    """Read the files of documents, and look for the missing contents in folders.

    Args:
        documents: of a knowledge base; those without a file are ignored.
        folders: files and folders to search; the folders of all documents if there are none.
    """
    files = [
        document
        for document in documents
        # The source of a downloaded file is its URL.
        if file_digest_of(document.content_hash) and os.path.isabs(document.source)
    ]
    states = {path: _state(path, document) for document in files for path in document.paths}
    missing = [d for d in files if any(states[path] for path in d.paths)]
    intact = {path for path, state in states.items() if state is None}
    by_identity = {
        _identity(document): document
        for document in missing
        if all(states[path] for path in document.paths)
    }
    roots = folders or {os.path.dirname(path) for path in states}
    matches = _search(by_identity, [root for root in roots if os.path.exists(root)], intact)
    changes: list[SourceChange] = []
    for document in missing:
        valid = next((path for path in document.paths if states[path] is None), None)
        target = valid or matches.get(_identity(document))
        for path in document.paths:
            if state := states[path]:
                is_moved = state == "deleted" and target is not None and valid is None
                changes.append(
                    SourceChange(document.id, path, "moved" if is_moved else state, target)
                )
    return changes


def relinked_paths(
    documents: Iterable[StoredDocument], changes: Iterable[SourceChange]
) -> dict[str, tuple[str, ...]]:
    """New paths of the documents whose content was found, by document id."""
    stale = {(change.document_id, change.path) for change in changes}
    targets = {change.document_id: change.found_at for change in changes}
    paths: dict[str, tuple[str, ...]] = {}
    for document in documents:
        if target := targets.get(document.id):
            left = (path for path in document.paths if (document.id, path) not in stale)
            paths[document.id] = tuple(dict.fromkeys((*left, target)))
    return paths


def _state(path: str, document: StoredDocument) -> SourceState | None:
    """How a file differs from its document; None if it does not."""
    if is_deleted(path):
        return "deleted"
    try:
        is_same = digest_file(path) == file_digest_of(document.content_hash)
    except InputError:
        return "unreadable"
    return None if is_same else "replaced"


def _identity(document: StoredDocument) -> tuple[str, str]:
    # The suffix decides how a text is read.
    return suffix(document.source), file_digest_of(document.content_hash)


def _search(
    by_identity: Mapping[tuple[str, str], StoredDocument],
    roots: Sequence[str | os.PathLike[str]],
    intact: set[str],
) -> dict[tuple[str, str], str]:
    """Path of a file with each wanted content, if there is one outside the intact documents."""
    suffixes = {suffix for suffix, _ in by_identity}
    matches: dict[tuple[str, str], str] = {}
    if not by_identity:
        return matches
    for candidate in find_files(roots).documents:
        path = candidate.path or ""
        if suffix(path) not in suffixes or path in intact:
            continue
        try:
            identity = suffix(path), digest_file(path)
        except InputError:
            continue
        if identity in by_identity:
            matches.setdefault(identity, path)
    return matches
