"""Find damage in the folder of a knowledge base, and repair it from copies and originals."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field

from wavrag.errors import InputError
from wavrag.kb import manifest
from wavrag.kb.backend import FolderBackend, local_folder
from wavrag.kb.closest import missing_kb, read_manifest
from wavrag.kb.copies import is_deleted
from wavrag.kb.knowledge_base import KnowledgeBase
from wavrag.kb.passages import content_hash, digest_file, file_digest_of
from wavrag.kb.report import ProgressCallback
from wavrag.kb.side_files import is_intact
from wavrag.store import WORDS_FILE, StoredDocument, repair_store
from wavrag.types import Document


@dataclass(slots=True)
class RepairReport:
    """Result of `repair_kb`."""

    actions: list[str] = field(default_factory=list)  # sentences; empty if nothing was damaged
    reindexed: list[str] = field(default_factory=list)  # sources of documents indexed again
    # Source of each document that is lost, and the reason with the remedy.
    losses: list[tuple[str, str]] = field(default_factory=list)


def repair_kb(
    directory: str | os.PathLike[str], *, on_progress: ProgressCallback | None = None
) -> RepairReport:
    """Repair a damaged knowledge base.

    Damaged passages are removed, and their documents indexed again from the original files.

    Args:
        directory: the folder.
        on_progress: see `KnowledgeBase.add`.

    Raises:
        StoreError: it cannot be repaired, or another process is writing to it.

    Example:
        >>> report = repair_kb("my-kb")  # doctest: +SKIP
        >>> print(report.actions, report.losses)  # doctest: +SKIP
    """
    folder = local_folder(directory, "repair", "restore a backup")
    backend = FolderBackend(folder)
    if not folder.is_dir():
        raise missing_kb(backend)
    report = RepairReport(manifest.repair(folder))
    contents = read_manifest(backend)
    store = repair_store(folder / contents.store, contents.embedder["dim"])
    report.actions += store.actions
    if not is_intact(folder / WORDS_FILE):
        (folder / WORDS_FILE).unlink()
        report.actions.append(f"{WORDS_FILE} was damaged: its transcripts are made again")
    with KnowledgeBase.open(folder, create=False) as kb:
        for document in store.losses:
            _index_again(kb, document, report, on_progress)
    return report


def _index_again(
    kb: KnowledgeBase,
    stored: StoredDocument,
    report: RepairReport,
    on_progress: ProgressCallback | None,
) -> None:
    path = _original(kb, stored)
    if path is None:
        reason = "its original is missing: restore a backup, or add the document again"
        report.losses.append((stored.source, reason))
        return
    has_changed = digest_file(path) != file_digest_of(stored.content_hash)
    result = kb.add([_document(kb, stored, path)], on_progress=on_progress)
    report.losses += result.skipped
    if not result.skipped:
        report.reindexed.append(stored.source)
    if has_changed:
        report.actions.append(f"{stored.source} has changed since it was indexed")


def _original(kb: KnowledgeBase, stored: StoredDocument) -> str | None:
    """The file that a document was made of; None if there is none."""
    if not file_digest_of(stored.content_hash):
        return None
    paths = map(kb.resolve_source, stored.paths)
    return next((path for path in paths if os.path.isabs(path) and not is_deleted(path)), None)


def _document(kb: KnowledgeBase, stored: StoredDocument, path: str) -> Document:
    """The document as it was added, as far as its content hash tells."""
    source = "" if stored.source == path or os.path.isabs(stored.source) else stored.source
    copies = tuple(copy for copy in stored.copies if copy != path)
    full = Document(
        stored.id,
        path=path,
        title=stored.title,
        metadata=stored.metadata,
        source=source,
        copies=copies,
    )
    # Titles and tags of recordings come from the file, and are found there again.
    plain = Document(stored.id, path=path, source=source, copies=copies)
    for document in (plain, full):
        with suppress(InputError):
            if content_hash(document, speakers=kb.finds_speakers) == stored.content_hash:
                return document
    return full
