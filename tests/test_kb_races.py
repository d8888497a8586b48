"""Two users of a knowledge base change the same thing at once: both changes are kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavrag import KnowledgeBase
from wavrag.kb import FolderBackend, manifest
from wavrag.kb.copies import apply_paths
from wavrag.kb.voices import VoiceBook
from wavrag.store import FolderRecords, StoredPassage
from wavrag.types import Passage


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    """A recording of two passages with a speaker each."""
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        vector = np.eye(1, kb.embedder.spec.dim, dtype=np.float32)[0]
        passages = [
            Passage(
                "talk", number, "words", float(number), number + 1.0, source="/talk.wav",
                title="talk", speaker=f"speaker {number}", speech=True,
            )
            for number in range(2)
        ]  # fmt: skip
        kb._store.upsert([StoredPassage(passage, vector, "words", "1") for passage in passages])
        yield kb


class Rival(threading.Thread):
    """A change on another thread that should wait for the one that starts it."""

    def __init__(self, change: Callable[[], object]) -> None:
        super().__init__(target=change)

    def attempt(self) -> None:
        """Start, and wait in vain: a change that does not wait for its starter ends here."""
        self.start()
        self.join(0.5)


def read_then(function: Callable[..., Any], action: Callable[[], None]) -> Callable[..., Any]:
    """A function that does something after its first call."""
    actions = [action]

    def call(*arguments: Any) -> Any:
        result = function(*arguments)
        if actions:
            actions.pop()()
        return result

    return call


def test_a_correction_and_a_name_are_both_kept(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = KnowledgeBase.open(kb.directory)
    rival = Rival(lambda: other.name_speaker("talk", "speaker 1", "Ada"))

    def embed_again(record: StoredPassage) -> StoredPassage:
        rival.attempt()
        return replace(record, passage=replace(record.passage, text="corrected"))

    monkeypatch.setattr(kb, "_correct", lambda *arguments: None)
    monkeypatch.setattr(kb, "embed_again", embed_again)
    kb.correct_transcript("talk", 0.0, 1.0, "corrected")
    rival.join()
    other.close()
    rows = [(passage.text, passage.speaker) for passage in kb.passages("talk")]
    assert rows == [("corrected", "speaker 0"), ("words", "Ada")]


def test_new_paths_keep_what_has_changed_since_they_were_chosen(kb: KnowledgeBase) -> None:
    stored = kb.documents()
    kb.name_speaker("talk", "speaker 1", "Ada")
    apply_paths(kb._store, stored, {"talk": ["/new.wav"]}, kb.directory)
    assert [passage.speaker for passage in kb.passages("talk")] == ["speaker 0", "Ada"]
    assert {passage.source for passage in kb.passages("talk")} == {"/new.wav"}
    # These are outdated now: they neither move nor remove the document.
    for paths in (["/old.wav"], []):
        apply_paths(kb._store, stored, {"talk": paths}, kb.directory)
    assert [document.paths for document in kb.documents()] == [("/new.wav",)]


def test_a_removal_by_path_spares_a_copy_that_was_added_meanwhile(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = kb.documents()
    monkeypatch.setattr(kb._store, "documents", lambda: stored)
    apply_paths(kb._store, stored, {"talk": ["/talk.wav", "/copy.wav"]}, kb.directory)
    assert kb.remove_paths(["/talk.wav"]).kept == ["talk"]
    assert {passage.source for passage in kb.passages("talk")} == {"/copy.wav"}
    removal = kb.remove_paths(["/copy.wav", "/talk.wav"])
    assert (removal.removed, removal.passages, kb.count()) == (["talk"], 2, 0)


def test_voices_remembered_and_forgotten_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = FolderRecords(tmp_path)
    book, other = VoiceBook(records), VoiceBook(FolderRecords(tmp_path))
    ada, bo = np.eye(2, 8, dtype=np.float32)
    book.remember("Cy", ada)
    for change in (lambda: other.remember("Bo", bo), lambda: other.forget("Cy")):
        rival = Rival(change)
        monkeypatch.setattr(records, "get", read_then(FolderRecords(tmp_path).get, rival.attempt))
        book.remember("Ada", ada)
        rival.join()
    assert sorted(other.load()) == ["Ada", "Bo"]


def test_two_fields_of_the_manifest_change_at_once(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = FolderBackend(kb.directory)
    rival = Rival(lambda: manifest.update(other, store="store-0"))
    records = kb.backend.records
    monkeypatch.setattr(records, "get", read_then(records.get, rival.attempt))
    manifest.update(kb.backend, speakers=True)
    rival.join()
    contents = manifest.read(other)
    assert contents is not None
    assert (contents.speakers, contents.store) == (True, "store-0")
