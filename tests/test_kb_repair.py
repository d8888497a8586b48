"""Damaged knowledge bases: refusal, repair, backup, restore and upgrade."""

from __future__ import annotations

import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from audio_files import tone, write
from wavrag import Document, KnowledgeBase
from wavrag.cli import main
from wavrag.disk import block_sums, read_json, write_json
from wavrag.embed import FakeEmbedder
from wavrag.embed.base import EmbedderSpec
from wavrag.errors import IndexMismatchError, StoreError
from wavrag.kb import backup_kb, find_files, repair_kb, restore_kb, upgrade_kb
from wavrag.kb.manifest import COPY, FILE
from wavrag.store import StoredPassage


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A knowledge base of two texts and a recording."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "bees.txt").write_text("Bees dance to show where flowers are.")
    (files / "tides.md").write_text("# Tides\n\nThe moon pulls the sea.")
    write(files / "hum.wav", tone(440, 3, 16_000)[None], 16_000)
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        kb.add(find_files([files]).documents, speakers=False)
    return tmp_path / "kb"


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x40
    path.write_bytes(data)


def texts(folder: Path) -> list[tuple[str, str | None]]:
    with KnowledgeBase.open(folder, create=False) as kb:
        assert kb.verify() == []
        assert kb.search("where do bees dance", k=1)[0].passage.title == "bees"
        return [(row.passage.id, row.passage.text) for row in kb.scan()]


def test_uploads_of_a_moved_knowledge_base_are_found(tmp_path: Path) -> None:
    upload = tmp_path / "kb" / "uploads" / f"{'0' * 32}.txt"
    upload.parent.mkdir(parents=True)
    upload.write_text("Bees dance to show where flowers are.")
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        kb.add([Document(str(upload), path=str(upload))])
    moved = (tmp_path / "kb").rename(tmp_path / "moved")
    for path in moved.glob("store/passages.lance/data/*.lance"):
        path.unlink()
    report = repair_kb(moved)
    assert (report.reindexed, report.losses) == ([str(upload)], [])


@pytest.mark.parametrize("pattern", ["data/*.lance", "_versions/*.manifest", "_indices/*/*.lance"])
@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_a_damaged_table_is_repaired(
    base: Path, pattern: str, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = texts(base)
    path = min(base.glob(f"store/passages.lance/{pattern}"))  # the newest of the manifests
    if damage == "flip":
        flip(path, path.stat().st_size // 3)
    else:
        path.write_bytes(b"")
    if "manifest" not in pattern:
        assert main(["kb", "verify", "--kb", str(base)]) == 1
        assert "run `wavrag kb repair`" in capsys.readouterr().err
    assert main(["kb", "repair", "--kb", str(base)]) == 0
    assert f"{path.name} was damaged" in capsys.readouterr().err
    assert texts(base) == before
    assert main(["kb", "repair", "--kb", str(base)]) == 0
    assert capsys.readouterr().out == "nothing was damaged\n"


def test_a_document_without_its_original_is_lost(base: Path) -> None:
    (base.parent / "files" / "tides.md").unlink()
    with KnowledgeBase.open(base) as kb:
        kb.add([Document("note", text="A note in memory.")])
    for path in base.glob("store/passages.lance/data/*.lance"):
        path.write_bytes(b"")
    report = repair_kb(base)
    assert [Path(source).name for source in report.reindexed] == ["bees.txt", "hum.wav"]
    lost = {Path(source).name: reason for source, reason in report.losses}
    assert lost.keys() == {"tides.md", "note"}
    assert "restore a backup" in lost["note"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_the_umask_decides_who_may_read_a_knowledge_base(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        KnowledgeBase.open(tmp_path / "kb", embedder="fake").close()
    finally:
        os.umask(umask)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("kb/**/*.json")}
    del modes["latest_version_hint.json"]
    assert modes == dict.fromkeys(("kb.json", "kb.copy.json", "commit.json"), 0o640)


def test_a_manifest_is_never_guessed(base: Path) -> None:
    (base / FILE).unlink()
    for embedder in (None, "fake"):
        with pytest.raises(StoreError, match=r"kb\.json is missing.*kb repair"):
            KnowledgeBase.open(base, embedder=embedder)
    assert repair_kb(base).actions == [f"{FILE} was missing, damaged or old: written again"]
    flip(base / COPY, 30)
    with KnowledgeBase.open(base) as kb:
        assert COPY in kb.verify()[0]
    assert repair_kb(base).actions
    texts(base)
    for name in (FILE, COPY):
        flip(base / name, 30)
    with pytest.raises(StoreError, match="its copy are missing or damaged: restore a backup"):
        repair_kb(base)


def test_a_backup_taken_while_writing_is_restored(base: Path, tmp_path: Path) -> None:
    expected = texts(base)
    backup_kb(base, tmp_path / "backup")
    assert restore_kb(tmp_path / "backup", tmp_path / "restored") > 0
    assert texts(tmp_path / "restored") == expected
    with pytest.raises(StoreError, match="exists"):
        backup_kb(base, base / "inside")
    with pytest.raises(StoreError, match="restored exists"):
        restore_kb(tmp_path / "backup", tmp_path / "restored")
    flip(max((tmp_path / "backup").glob("store/*/data/*.lance")), 99)
    with pytest.raises(StoreError, match=r"lance is damaged or missing: take another"):
        restore_kb(tmp_path / "backup", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_backup_touches_no_other_folder_and_omits_no_original(base: Path) -> None:
    source = base.rename(base.with_name("kb.part"))  # a former name of the temporary folder
    member = source / "originals" / "0" / "C# notes.md"
    for path in (member, member.with_name("backup.json")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    backup_kb(source, base)
    assert texts(base) == texts(source)
    assert (base / member.relative_to(source)).exists()
    assert (base / "originals" / "0" / "backup.json").exists()


def test_a_damaged_side_file_ends_a_backup_with_its_name(base: Path) -> None:
    (base / "corrections.sqlite3").write_bytes(b"no database" * 999)
    with pytest.raises(StoreError, match=r"corrections\.sqlite3 \(file is not a database\)"):
        backup_kb(base, base.parent / "backup")
    assert sorted(path.name for path in base.parent.iterdir()) == ["files", "kb"]


class NewerEmbedder(FakeEmbedder):
    @property
    def spec(self) -> EmbedderSpec:
        return replace(super().spec, revision="2")


def test_an_upgrade_embeds_again_and_keeps_the_old_version_until_then(base: Path) -> None:
    expected = texts(base)
    newer = NewerEmbedder()
    with pytest.raises(IndexMismatchError, match="kb upgrade"):
        KnowledgeBase.open(base, embedder=newer)

    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upgrade_kb(base, embedder=newer, on_progress=interrupt)
    assert texts(base) == expected
    (base / "stores").mkdir()  # of the user
    report = upgrade_kb(base, embedder=newer)
    assert (base / "stores").is_dir()
    assert (report.documents, report.notes) == (1, [])
    with KnowledgeBase.open(base, embedder=newer) as kb:
        assert [(row.passage.id, row.passage.text) for row in kb.scan()] == expected
        assert kb.verify() == []
    assert not (base / "store").exists()
    assert upgrade_kb(base, embedder=newer).documents == 0


def test_an_upgrade_takes_along_what_others_change_meanwhile(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("spool.MEMORY_PASSAGES", "upgrade.BATCH"):  # as if the documents were long
        monkeypatch.setattr(f"wavrag.kb.{name}", 2)
    old = KnowledgeBase.open(base)
    old.add([Document("long", text="Bees dance to show where flowers are. " * 200)])
    long = [row.id for row in old.passages("long")]
    assert len(long) > 4

    def change(stored: Iterator[StoredPassage]) -> list[StoredPassage]:
        return [replace(row, passage=replace(row.passage, speaker="Ada")) for row in stored]

    def interfere(done: int, total: int) -> None:
        if done == total and old.documents()[-1].id != "note":
            (hum, *_, tides) = [id for id in sorted(d.id for d in old.documents()) if "/" in id][1:]
            old._store.update([hum], change)
            old.remove([tides])
            old.add([Document("note", text="A late note.")])

    newer = NewerEmbedder()
    report = upgrade_kb(base, embedder=newer, on_progress=interfere)
    assert report.documents == 6  # one of them twice
    with pytest.raises(StoreError, match=r"was upgraded .* start the program again"):
        old.add([Document("later", text="Too late.")])
    old.close()
    with KnowledgeBase.open(base, embedder=newer) as kb:
        ids = [Path(document.id).name for document in kb.documents()]
        assert ids == ["bees.txt", "hum.wav", "long", "note"]
        assert {row.speaker for row in kb.passages(kb.documents()[1].id)} == {"Ada"}
        assert [row.id for row in kb.passages("long")] == long
        assert kb.verify() == []
    assert not list(base.glob("*/upgrade.jsonl"))


def test_a_writer_is_not_stopped_by_a_backup(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_file = shutil.copyfile
    names: list[str] = []

    def copy_and_write(source: Path, target: Path) -> None:
        # While everything is copied for the first time.
        if source.name == "commit.json" and "store/commit.json" not in names:
            writer = threading.Thread(target=add)
            writer.start()
            writer.join(60)
            assert not writer.is_alive()
        names.append(source.relative_to(base).as_posix())
        copy_file(source, target)

    def add() -> None:
        with KnowledgeBase.open(base) as kb:
            kb.add([Document("note", text="A note.")])
            kb.remove([next(d.id for d in kb.documents() if "tides" in d.id)])

    monkeypatch.setattr("wavrag.kb.backup.SETTLED_SECONDS", 0)
    monkeypatch.setattr(shutil, "copyfile", copy_and_write)
    backup_kb(base, base.parent / "backup")
    # While writers wait, only changes are copied: files of the store never change.
    again = {name for name, count in Counter(names).items() if count > 1}
    assert "store/commit.json" in again
    assert all(name.endswith((".json", ".jsonl")) for name in again)
    monkeypatch.undo()
    restore_kb(base.parent / "backup", base.parent / "restored")
    assert texts(base.parent / "restored") == texts(base)


def test_a_restored_base_with_a_defect_leaves_nothing_behind(base: Path) -> None:
    backup = base.parent / "backup"
    backup_kb(base, backup)
    # A fault that the checksums of the files do not show, because it was there before the backup.
    path = backup / "store" / "commit.json"
    record = read_json(path)
    record["files"] = {**record["files"], "data/lost.lance": [1, 1]}
    write_json(path, record)
    sums = read_json(backup / "backup.json")
    write_json(backup / "backup.json", {**sums, "store/commit.json": [*block_sums(path).values()]})
    with pytest.raises(StoreError, match=r"was not made: .*backup/.*lost\.lance is damaged"):
        restore_kb(backup, base.parent / "restored")
    assert sorted(path.name for path in base.parent.iterdir()) == ["backup", "files", "kb"]


def test_unchanged_files_are_indexed_again_on_request(base: Path) -> None:
    files = find_files([base.parent / "files"]).documents
    with KnowledgeBase.open(base) as kb:
        assert len(kb.add(files).unchanged) == 3
        report = kb.add(files, again=True)
        assert (len(report.updated), report.unchanged) == (3, [])
        assert len(kb.documents()) == 3
