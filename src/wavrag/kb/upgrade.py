"""Embed a knowledge base again with a new revision of its embedder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from wavrag.embed import Embedder, load_embedder
from wavrag.errors import AudioError, StoreError
from wavrag.kb import manifest
from wavrag.kb.backend import FolderBackend, local_folder
from wavrag.kb.closest import read_manifest
from wavrag.kb.knowledge_base import KnowledgeBase
from wavrag.kb.passages import embedded_text
from wavrag.kb.spool import PassageSpool
from wavrag.kb.trust import resolve_embedder
from wavrag.store import LanceStore, StoredPassage
from wavrag.types import EmbedInput

BATCH = 32  # texts embedded at once
MAX_PASSES = 3  # over the documents before writers wait; each leaves fewer
LOG = "upgrade.jsonl"
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
    the WavRAG that made them; then the knowledge base switches to the new ones in one step. What
    other programs add or change until then is embedded, too; afterwards they are refused until they
    are started again. An interrupted call resumes.

    Args:
        directory: the folder.
        embedder: the new embedder (default: the one of the knowledge base).
        on_progress: called with the number of documents embedded so far, and of all.

    Raises:
        StoreError: there is no knowledge base, or its disk is full.
        EmbedderError: the embedder fails.
    """
    remedy = "index the documents into a new one"
    folder = local_folder(directory, "upgrade", remedy)
    backend = FolderBackend(folder)
    contents = read_manifest(backend)
    embedder = embedder or load_embedder(resolve_embedder(backend, contents.embedder["name"]))
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
        upgrade = _Upgrade(KnowledgeBase(backend, embedder, new), old, new, report, on_progress)
        for _ in range(MAX_PASSES):
            if not upgrade.embed_changed():
                break
        with old.locked():  # writers wait for what was added or changed during the last pass
            upgrade.embed_changed()
            new.optimize()
            manifest.update(backend, embedder=identity, store=name)
        upgrade.path.unlink(missing_ok=True)
    _delete_old(folder, name)
    return report


class _Upgrade:
    """Embeds documents of one store into another.

    A log in the new store names the embedded documents with the state that they had in the old one,
    so that later changes are noticed, also by a call that resumes an interrupted one.
    """

    def __init__(
        self,
        kb: KnowledgeBase,
        old: LanceStore,
        new: LanceStore,
        report: UpgradeReport,
        on_progress: Callable[[int, int], object],
    ) -> None:
        self.path = new.path / LOG
        self._kb, self._old, self._new = kb, old, new
        self._report = report
        self._on_progress = on_progress
        self._embedded: dict[str, tuple[int, int]] = {}
        with suppress(FileNotFoundError):
            for line in self.path.read_text(encoding="utf-8").splitlines():
                with suppress(ValueError, TypeError):  # the last line of a killed process
                    id, digest, passages = json.loads(line)
                    self._embedded[id] = digest, passages

    def embed_changed(self) -> int:
        """Embed new and changed documents, and remove others; return the number of embedded ones.

        Raises:
            StoreError: the disk is full or not writable.
        """
        digests = self._old.digests()
        ids = [document.id for document in self._old.documents()]
        present = {document.id for document in self._new.documents()}
        self._new.delete(sorted(present.difference(ids)))
        count = 0
        for number, id in enumerate(ids):
            self._on_progress(number, len(ids))
            digest = digests.get(id)
            if id not in present or digest is None or self._embedded.get(id) != digest:
                self._embed(id, digest)
                count += 1
        self._on_progress(len(ids), len(ids))
        self._report.documents += count
        return count

    def _embed(self, id: str, digest: tuple[int, int] | None) -> None:
        # On disk, because a document may be longer than the memory.
        with PassageSpool(self._kb.backend.scratch) as passages:
            records = self._old.scan([id])
            while batch := list(islice(records, BATCH)):
                for record in _embed_batch(self._kb, batch, self._report):
                    passages.append(record)
            self._new.replace(id, passages)
        if digest is None:
            return
        self._embedded[id] = digest
        try:
            with self.path.open("a", encoding="utf-8") as log:
                log.write(f"{json.dumps([id, *digest])}\n")
        except OSError as error:
            raise StoreError(f"cannot write {self.path}: {error.strerror or error}") from error


def _embed_batch(
    kb: KnowledgeBase, records: Sequence[StoredPassage], report: UpgradeReport
) -> list[StoredPassage]:
    """Passages with vectors of the new revision; recordings are heard again."""
    embedded = list(records)
    texts: list[int] = []
    for row, record in enumerate(records):
        if record.passage.modality == "audio":
            try:
                embedded[row] = kb.embed_again(record)
                continue
            except AudioError as error:
                note = (record.passage.source, f"{error}: only its transcript was embedded")
                if note not in report.notes:
                    report.notes.append(note)
        texts.append(row)
    inputs = [EmbedInput(text=embedded_text(records[row].passage)) for row in texts]
    if inputs:
        vectors = kb.embedder.embed(inputs, "passage")
        for row, vector in zip(texts, vectors, strict=True):
            embedded[row] = replace(records[row], vector=vector)
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
