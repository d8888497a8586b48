"""Embed a knowledge base again with a new revision of its embedder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from wavrag.embed import Embedder, load_embedder
from wavrag.errors import AudioError
from wavrag.kb import manifest
from wavrag.kb.closest import read_manifest
from wavrag.kb.knowledge_base import KnowledgeBase
from wavrag.kb.passages import embedded_text
from wavrag.kb.trust import resolve_embedder
from wavrag.store import LanceStore, StoredPassage
from wavrag.types import EmbedInput

BATCH = 32  # texts embedded at once
_STORE = re.compile(r"store(-[0-9a-f]{8})?")


@dataclass(slots=True)
class UpgradeReport:
    """Result of `upgrade_kb`."""

    embedder: str  # name
    revision: str  # new revision of the embedder
    documents: int = 0  # embedded again; 0 if the revision is current
    # Source of each recording that is missing: only its transcript was embedded.
    notes: list[tuple[str, str]] = field(default_factory=list)


def upgrade_kb(
    directory: str | os.PathLike[str],
    *,
    embedder: Embedder | None = None,
    on_progress: Callable[[int, int], object] = lambda count, total: None,
) -> UpgradeReport:
    """Embed all passages again, if the embedder has a new revision.

    The vectors go into a new folder. Until all are there, the old ones stay and can be searched by
    the WavRAG that made them; then the knowledge base switches to the new ones in one step. An
    interrupted call resumes.

    Args:
        directory: the folder.
        embedder: the new embedder (default: the one of the knowledge base).
        on_progress: called with the number of documents embedded so far, and of all.

    Raises:
        StoreError: there is no knowledge base, or its disk is full.
        EmbedderError: the embedder fails.
    """
    folder = Path(directory)
    contents = read_manifest(folder)
    embedder = embedder or load_embedder(resolve_embedder(folder, contents.embedder["name"]))
    identity = manifest.identity(embedder.spec)
    report = UpgradeReport(embedder.spec.name, embedder.spec.revision)
    if identity == contents.embedder:
        _delete_old(folder, contents.store)
        return report
    digest = hashlib.blake2b(json.dumps(identity).encode(), digest_size=4).hexdigest()
    name = f"store-{digest}"
    with (
        closing(LanceStore(folder / contents.store, contents.embedder["dim"])) as old,
        closing(LanceStore(folder / name, embedder.spec.dim)) as new,
    ):
        kb = KnowledgeBase(folder, embedder, new)
        _embed_missing(kb, old, new, report, on_progress)
        with old.locked():  # what was added in the meantime
            _embed_missing(kb, old, new, report, on_progress)
            new.optimize()
            manifest.update(folder, embedder=identity, store=name)
    _delete_old(folder, name)
    return report


def _embed_missing(
    kb: KnowledgeBase,
    old: LanceStore,
    new: LanceStore,
    report: UpgradeReport,
    on_progress: Callable[[int, int], object],
) -> None:
    documents = old.documents()
    upgraded = {document.id: replace(document, metadata={}) for document in new.documents()}
    new.delete(sorted(upgraded.keys() - {document.id for document in documents}))
    for count, document in enumerate(documents):
        on_progress(count, len(documents))
        if upgraded.get(document.id) != replace(document, metadata={}):
            new.upsert(_embed(kb, list(old.scan([document.id])), report))
            report.documents += 1
    on_progress(len(documents), len(documents))


def _embed(
    kb: KnowledgeBase, records: Sequence[StoredPassage], report: UpgradeReport
) -> list[StoredPassage]:
    """Passages with vectors of the new revision; recordings are heard again."""
    embedded: list[StoredPassage] = []
    texts: list[StoredPassage] = []
    for record in records:
        if record.passage.modality == "audio":
            try:
                embedded.append(kb.embed_again(record))
                continue
            except AudioError as error:
                note = (record.passage.source, f"{error}: only its transcript was embedded")
                if note not in report.notes:
                    report.notes.append(note)
        texts.append(record)
    for first in range(0, len(texts), BATCH):
        batch = texts[first : first + BATCH]
        inputs = [EmbedInput(text=embedded_text(record.passage)) for record in batch]
        vectors = kb.embedder.embed(inputs, "passage")
        embedded += [
            replace(record, vector=vector) for record, vector in zip(batch, vectors, strict=True)
        ]
    return embedded


def _delete_old(folder: Path, current: str) -> None:
    """Delete other stores, unless a server may still be searching them."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / "server.lock", timeout=0):
            for path in folder.glob("store*"):
                # Not other folders of the user, such as `stores`.
                if _STORE.fullmatch(path.name) and path.name != current:
                    shutil.rmtree(path, ignore_errors=True)
    except Timeout:
        pass  # deleted by the next call
