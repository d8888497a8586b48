"""Decide which document each file is: by its content first, then by its path.

Files with the same content, title and metadata are one document with several paths. A file keeps
its document when it is moved or renamed, and gets another one when its old path is used again.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, groupby
from pathlib import Path

from wavrag.errors import InputError
from wavrag.kb.labels import StoredLabels
from wavrag.kb.passages import (
    check_document,
    content_hash,
    file_digest_of,
    lexical_text,
    path_key,
)  # fmt: skip
from wavrag.kb.report import Removal
from wavrag.kb.spool import PassageSpool
from wavrag.store import ACCESS, Store, StoredDocument, StoredPassage
from wavrag.types import Document, Passage
from wavrag.where import compose

BATCH_PASSAGES = 10_000  # rewritten in one commit when paths change; bounds the memory


@dataclass(slots=True)
class IndexPlan:
    """What to do with the documents of a run."""

    pending: list[tuple[Document, str]] = field(default_factory=list)  # to embed, with their hash
    unchanged: list[str] = field(default_factory=list)  # ids
    moved: list[str] = field(default_factory=list)  # ids of documents with another source
    copies: list[str] = field(default_factory=list)  # paths of copies of stored documents
    skipped: list[tuple[Document, str]] = field(default_factory=list)
    # New paths of stored documents; without any, the document is removed.
    paths: dict[str, tuple[str, ...]] = field(default_factory=dict)


def plan_run(
    documents: Sequence[Document],
    stored: Sequence[StoredDocument],
    on_document: Callable[[Document], object],
    *,
    speakers: bool = False,
) -> IndexPlan:
    """Compare documents with the stored ones.

    Args:
        documents: documents of the run.
        stored: documents of the store.
        on_document: called before a document is read.
        speakers: see `content_hash`.
    """
    plan = IndexPlan()
    hashes = {document.id: document.content_hash for document in stored}
    files: dict[str, list[Document]] = defaultdict(list)
    ids: set[str] = set()
    texts: list[str] = []  # ids of documents that are no files
    labels = StoredLabels(stored)
    for document in documents:
        try:
            on_document(document)
            if document.id in ids:
                raise InputError("its id was given twice: only the first is added")
            ids.add(document.id)
            check_document(document)
            labelled, digest = _label(document, labels, speakers)
        except InputError as error:
            plan.skipped.append((document, str(error)))
            continue
        if is_file(document):
            files[digest].append(labelled)
            continue
        texts.append(document.id)
        if hashes.get(document.id) == digest:
            plan.unchanged.append(document.id)
        else:
            plan.pending.append((labelled, digest))
    _Assignment(plan, stored, files, texts).run()
    return plan


def _label(document: Document, labels: StoredLabels, speakers: bool) -> tuple[Document, str]:
    """A document with its access labels, and its content hash."""
    is_given = ACCESS in document.metadata
    document = labels.apply(document)
    digest = content_hash(document, speakers=speakers)
    if not is_given:
        labelled = labels.apply_content(document, file_digest_of(digest))
        if labelled is not document:
            return labelled, content_hash(labelled, speakers=speakers)
    return document, digest


def is_file(document: Document) -> bool:
    """True if a document is a file under its own path: others have an id that their owner chose."""
    return document.id == document.path and not document.source and document.text is None


class _Assignment:
    """Assigns each group of files with the same content to a document."""

    def __init__(
        self,
        plan: IndexPlan,
        stored: Sequence[StoredDocument],
        groups: Mapping[str, list[Document]],
        ids: Iterable[str],
    ) -> None:
        self._plan = plan
        self._groups = groups
        self._used = {*ids, *(document.id for document in stored)}
        self._run = {path: digest for digest, group in groups.items() for path in _paths(group)}
        self._run_keys = {path_key(path): path for path in self._run}
        self._by_hash: dict[str, list[StoredDocument]] = defaultdict(list)
        self._by_path: dict[str, list[StoredDocument]] = defaultdict(list)
        for document in stored:
            if not os.path.isabs(document.id):
                continue
            self._by_hash[document.content_hash].append(document)
            for path in document.paths:
                self._by_path[path].append(document)
                twin = self._run_keys.get(path_key(path), path)
                # The same name in another case or Unicode form, after the file was renamed.
                if twin != path and not self._is_present(path):
                    self._by_path[twin].append(document)
        self._matches: dict[str, StoredDocument] = {}  # by content hash
        self._assigned_ids: set[str] = set()

    def run(self) -> None:
        """Fill the plan."""
        for digest, group in self._groups.items():
            paths = set(_paths(group))
            if matches := self._by_hash.get(digest):
                best = max(matches, key=lambda document: len(paths.intersection(document.paths)))
                self._matches[digest] = best
                self._assigned_ids.add(best.id)
        for digest, group in self._groups.items():
            if digest in self._matches:
                self._keep(self._matches[digest], _paths(group))
            else:
                self._embed(digest, group)
        for path in self._run:
            for document in self._by_path[path]:
                if document.id not in self._assigned_ids:
                    # Its content is no longer at this path.
                    left = tuple(file for file in document.paths if file not in self._run)
                    if left != document.paths:
                        self._plan.paths[document.id] = left

    def _keep(self, document: StoredDocument, group: list[str]) -> None:
        """Give a stored document the paths of the files with its content."""
        changed = len(document.paths) > 1 or group != [document.source]
        paths = document.paths
        if changed:
            valid_paths = [path for path in paths if path in group or self._is_elsewhere(path)]
            paths = (*valid_paths, *_files_first(path for path in group if path not in valid_paths))
            if paths != document.paths:
                self._plan.paths[document.id] = paths
        if paths[0] != document.source:
            self._plan.moved.append(document.id)
        elif paths[0] in group:
            self._plan.unchanged.append(document.id)
        self._plan.copies += [path for path in group if path != paths[0]]

    def _embed(self, digest: str, group: list[Document]) -> None:
        """Plan the documents of new content: the one at these paths so far, or a new one."""
        owners = (owner for path in _paths(group) for owner in self._by_path[path])
        owner = next((owner for owner in owners if self._is_free(owner)), None)
        paths = _files_first(_paths(group))
        if owner is not None and owner.source in paths:
            paths = [owner.source, *(path for path in paths if path != owner.source)]
        id = owner.id if owner is not None else self._new_id(paths[0])
        self._assigned_ids.add(id)
        document = replace(group[0], id=id, path=paths[0], copies=tuple(paths[1:]))
        self._plan.pending.append((document, digest))

    def _is_free(self, document: StoredDocument) -> bool:
        """True if no file has the content of a document any more, so that its id can be reused."""
        return document.id not in self._assigned_ids and not any(
            map(self._is_elsewhere, document.paths)
        )

    def _is_elsewhere(self, path: str) -> bool:
        """True if a path is not in this run and there is a file."""
        return path not in self._run and self._is_present(path)

    def _is_present(self, path: str) -> bool:
        if is_deleted(path):
            return False
        twin = self._run_keys.get(path_key(path), path)
        # Disks that ignore the case find a file also under its name before a renaming.
        return twin == path or os.path.basename(path) in os.listdir(os.path.dirname(path))

    def _new_id(self, path: str) -> str:
        id, number = compose(path), 1
        # The path may be the id of a document that was moved away from it.
        while id in self._used or id in self._assigned_ids:
            number += 1
            id = f"{compose(path)}~{number}"
        return id


def is_deleted(path: str) -> bool:
    """True if there is no file under a path; False if that cannot be determined."""
    archive, mark, _ = path.partition("!/")
    if mark and os.path.isfile(archive):
        return False
    try:
        os.stat(path)
    except OSError as error:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            return False
        # The target of a link may be on a disk that is not mounted.
        return not os.path.islink(path) or os.path.isdir(os.path.dirname(os.path.realpath(path)))
    return False


def apply_paths(
    store: Store, stored: Iterable[StoredDocument], paths: Mapping[str, Sequence[str]], folder: Path
) -> None:
    """Write new paths of documents; documents without paths are removed.

    A document that has changed meanwhile keeps its paths, and an interrupted call leaves some
    documents with their earlier ones; the next run finds that out.

    Args:
        store: the store.
        stored: its documents.
        paths: new paths by document.
        folder: folder for temporary files.
    """
    documents = {document.id: document for document in stored if document.id in paths}

    def choose(record: StoredPassage) -> Sequence[str]:
        document = documents[record.passage.document_id]
        before = _paths_of(record.passage)
        is_same = (before, record.content_hash) == (document.paths, document.content_hash)
        return paths[document.id] if is_same else before

    rewrite_paths(store, documents.values(), choose, folder)


def drop_paths(
    store: Store,
    documents: Iterable[StoredDocument],
    is_dropped: Callable[[str], bool],
    folder: Path,
) -> Removal:
    """Remove paths of documents; documents without other paths are removed.

    Args:
        store: the store.
        documents: its documents.
        is_dropped: decides by a path.
        folder: folder for temporary files.
    """
    left: dict[str, Sequence[str]] = {}

    def choose(record: StoredPassage) -> Sequence[str]:
        paths = [path for path in _paths_of(record.passage) if not is_dropped(path)]
        left[record.passage.document_id] = paths
        return paths

    affected = [document for document in documents if any(map(is_dropped, document.paths))]
    removed_passages = rewrite_paths(store, affected, choose, folder)
    removed = [id for id, paths in left.items() if not paths]
    return Removal(removed, [id for id, paths in left.items() if paths], removed_passages)


def rewrite_paths(
    store: Store,
    documents: Iterable[StoredDocument],
    choose: Callable[[StoredPassage], Sequence[str]],
    folder: Path,
) -> int:
    """Give documents the paths that `choose` returns for their first passage, if any.

    Returns:
        The number of passages of documents without paths; they are removed.
    """
    removed: dict[str, int] = {}

    def change(stack: ExitStack, records: Iterator[StoredPassage]) -> Iterable[StoredPassage]:
        passages = stack.enter_context(PassageSpool(folder))
        for id, rows in groupby(records, lambda record: record.passage.document_id):
            first = next(rows)
            if paths := choose(first):
                for row in chain([first], rows):
                    passages.append(_with_paths(row, paths))
            else:
                removed[id] = 1 + sum(1 for _ in rows)
        return passages

    for batch in _batches(documents):
        with ExitStack() as stack:
            store.update([document.id for document in batch], partial(change, stack))
    return sum(removed.values())


def _batches(documents: Iterable[StoredDocument]) -> Iterator[list[StoredDocument]]:
    """Short documents together, long ones alone."""
    batch: list[StoredDocument] = []
    passages = 0
    for document in sorted(documents, key=lambda document: document.passages):
        if batch and passages + document.passages > BATCH_PASSAGES:
            yield batch
            batch, passages = [], 0
        batch.append(document)
        passages += document.passages
    if batch:
        yield batch


def _with_paths(record: StoredPassage, paths: Sequence[str]) -> StoredPassage:
    passage = record.passage
    title, source = passage.title, paths[0]
    if title == compose(Path(passage.source).stem):  # the title of a file without another one
        title = compose(Path(source).stem)
    updated = replace(
        passage, source=source, copies=tuple(paths[1:]), title=title,
        recording=_find_recording(passage, source),
    )  # fmt: skip
    lexical = record.lexical
    if title != passage.title:
        # The words change with the name; the vector stays, because it is expensive.
        lexical = lexical_text(updated)
    return replace(record, passage=updated, lexical=lexical)


def _find_recording(passage: Passage, source: str) -> str | None:
    """The recording of a transcript that was moved, if the recording moved along with it."""
    if passage.recording is None or source == passage.source:
        return passage.recording
    recording = os.path.join(os.path.dirname(source), os.path.basename(passage.recording))
    sibling = Path(source).with_suffix(Path(passage.recording).suffix)
    candidates = (recording, str(sibling), passage.recording)
    return next((path for path in candidates if not is_deleted(path)), passage.recording)


def _paths_of(passage: Passage) -> tuple[str, ...]:
    return (passage.source, *passage.copies)


def _paths(group: Iterable[Document]) -> list[str]:
    return [document.path for document in group if document.path is not None]


def _files_first(paths: Iterable[str]) -> list[str]:
    """Paths of files, then those of symbolic links, which break when their file is moved."""
    distinct = list(paths)
    return sorted(distinct, key=os.path.islink) if len(distinct) > 1 else distinct
