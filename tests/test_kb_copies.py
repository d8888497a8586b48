"""Copies, links, moved files and file names in several Unicode forms."""

import json
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from audio_files import tone, write
from wavrag import Document, KnowledgeBase, Query
from wavrag.cli import main
from wavrag.embed import FakeEmbedder
from wavrag.kb import AddReport, SourceChange, find_files
from wavrag.store import MemoryStore, StoredDocument

BEES = "Bees dance to show where flowers are."
TIDES = "The moon pulls the sea."
NFC, NFD = (unicodedata.normalize(form, "café.txt") for form in ("NFC", "NFD"))


@pytest.fixture(params=["lance", "memory"])
def kb(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KnowledgeBase]:
    if request.param == "lance":
        with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
            yield kb
    else:
        yield KnowledgeBase(tmp_path, FakeEmbedder(), MemoryStore(64))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def index(kb: KnowledgeBase, *paths: Path, **metadata: str) -> AddReport:
    return kb.add(find_files(paths, metadata=metadata).documents)


def paths(kb: KnowledgeBase) -> list[list[str]]:
    return [[Path(path).name for path in document.paths] for document in kb.documents()]


def only(kb: KnowledgeBase) -> StoredDocument:
    (document,) = kb.documents()
    return document


def is_complete(report: AddReport, files: int) -> bool:
    lists = (report.added, report.updated, report.unchanged, report.moved, report.copies)
    return sum(map(len, lists)) + len(report.skipped) == files


def test_copies_and_links_are_one_document_with_one_hit(kb: KnowledgeBase, folder: Path) -> None:
    for name in ("m.txt", "m (1).txt"):
        (folder / name).write_text(BEES)
    os.link(folder / "m.txt", folder / "hard.txt")
    (folder / "a-link.txt").symlink_to(folder / "m.txt")
    (folder / "tides.txt").write_text(TIDES)
    report = index(kb, folder)
    assert is_complete(report, 5)
    assert (len(report.added), len(report.copies), kb.count()) == (2, 3, 2)
    # Links come last: their file may be moved.
    assert paths(kb) == [["hard.txt", "m (1).txt", "m.txt", "a-link.txt"], ["tides.txt"]]
    hits = kb.search("where do bees dance", k=5)
    assert [Path(hit.passage.source).name for hit in hits] == ["hard.txt", "tides.txt"]
    assert len(hits[0].passage.copies) == 3
    where = f"source = '{folder / 'm (1).txt'}'"
    assert [hit.passage.text for hit in kb.search(Query("bees", where=where))] == [BEES]
    again = index(kb, folder)
    assert is_complete(again, 5)
    assert (len(again.unchanged), len(again.copies), again.passages) == (2, 3, 0)


def test_a_copy_is_found_in_a_later_run(kb: KnowledgeBase, folder: Path) -> None:
    (folder / "a.txt").write_text(BEES)
    index(kb, folder)
    (folder / "b.txt").write_text(BEES)
    report = index(kb, folder / "b.txt")
    assert (report.copies, report.passages) == ([str(folder / "b.txt")], 0)
    assert paths(kb) == [["a.txt", "b.txt"]]


def test_a_document_stays_while_it_has_a_path(kb: KnowledgeBase, folder: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (folder / name).write_text(BEES)
    index(kb, folder)
    (folder / "b.txt").unlink()
    assert kb.prune([folder]) == []
    assert paths(kb) == [["a.txt", "c.txt"]]
    removal = kb.remove_paths([folder / "a.txt"])
    assert (removal.removed, len(removal.kept), removal.passages) == ([], 1, 0)
    assert paths(kb) == [["c.txt"]]
    (folder / "c.txt").unlink()
    assert kb.prune([folder]) == [str(folder / "a.txt")]
    assert kb.count() == 0


def test_a_link_without_its_file_is_no_copy(kb: KnowledgeBase, folder: Path) -> None:
    (folder / "a.txt").write_text(BEES)
    (folder / "link.txt").symlink_to(folder / "a.txt")
    index(kb, folder)
    (folder / "a.txt").unlink()
    assert len(kb.prune([folder])) == 1


def test_a_changed_copy_becomes_a_document(kb: KnowledgeBase, folder: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(BEES)
    index(kb, folder)
    id = only(kb).id
    (folder / "a.txt").write_text(TIDES)
    report = index(kb, folder / "a.txt")  # the other copy is not part of this run
    assert report.added == [f"{id}~2"]
    assert {document.id: document.paths for document in kb.documents()} == {
        id: (str(folder / "b.txt"),),
        f"{id}~2": (str(folder / "a.txt"),),
    }
    assert len(index(kb, folder).unchanged) == 2
    (folder / "a.txt").write_text(BEES)
    report = index(kb, folder)
    assert (report.passages, paths(kb)) == (0, [["b.txt", "a.txt"]])


def test_copies_change_together(kb: KnowledgeBase, folder: Path) -> None:
    for text in (BEES, TIDES):
        for name in ("a.txt", "b.txt"):
            (folder / name).write_text(text)
        report = index(kb, folder)
    assert (len(report.updated), len(report.copies), paths(kb)) == (1, 1, [["a.txt", "b.txt"]])


def test_copies_with_other_metadata_or_suffix_are_documents(
    kb: KnowledgeBase, folder: Path
) -> None:
    for name in ("a.txt", "b.txt", "c.md"):
        (folder / name).write_text(BEES)
    index(kb, folder / "a.txt", folder / "c.md")
    index(kb, folder / "b.txt", year="1999")
    assert paths(kb) == [["a.txt"], ["b.txt"], ["c.md"]]
    # Documents with ids of their own are never merged.
    kb.add([Document(name, path=str(folder / "a.txt")) for name in ("x", "y")])
    assert len(kb.documents()) == 5


def test_a_moved_file_keeps_its_id_and_passages(kb: KnowledgeBase, folder: Path) -> None:
    (folder / "inner").mkdir()
    write(folder / "hum_tone.wav", tone(440, 3, 16_000)[None], 16_000)
    index(kb, folder)
    before = only(kb)
    vectors = [record.vector.tolist() for record in kb.scan()]
    (folder / "hum_tone.wav").rename(folder / "inner" / "board.wav")
    report = index(kb, folder)
    assert (report.moved, report.passages, report.added) == ([before.id], 0, [])
    after = only(kb)
    assert (after.id, after.source) == (before.id, str(folder / "inner" / "board.wav"))
    assert [record.vector.tolist() for record in kb.scan()] == vectors
    # The name of the file is its title, and can be searched for.
    assert (after.title, kb.search(Query("board", spelling=False))[0].legs.keys()) == (
        "board", {"dense", "lexical"},
    )  # fmt: skip
    assert kb.prune([folder]) == []
    # Its earlier path is free for another file.
    (folder / "hum_tone.wav").write_bytes((folder / "inner" / "board.wav").read_bytes() + b"12")
    assert index(kb, folder).added == [f"{before.id}~2"]


def test_swapped_names(kb: KnowledgeBase, folder: Path) -> None:
    a, b = folder / "a.txt", folder / "b.txt"
    a.write_text(BEES)
    b.write_text(TIDES)
    index(kb, folder)
    a.rename(folder / "c.txt")
    b.rename(a)
    (folder / "c.txt").rename(b)
    report = index(kb, folder)
    assert (sorted(report.moved), report.passages) == ([str(a), str(b)], 0)
    assert {document.id: document.source for document in kb.documents()} == {
        str(a): str(b), str(b): str(a),
    }  # fmt: skip
    assert kb.search("where do bees dance")[0].passage.source == str(b)
    assert index(kb, folder).moved == []


def test_a_file_moved_onto_another(kb: KnowledgeBase, folder: Path) -> None:
    (folder / "a.txt").write_text(BEES)
    (folder / "b.txt").write_text(TIDES)
    index(kb, folder)
    (folder / "a.txt").rename(folder / "b.txt")
    (folder / "a.txt").write_text("Something new.")
    report = index(kb, folder)
    assert (len(report.moved), report.passages) == (1, 1)
    assert sorted(record.passage.text or "" for record in kb.scan()) == [BEES, "Something new."]


def test_a_copy_whose_original_was_deleted(kb: KnowledgeBase, folder: Path) -> None:
    (folder / "a.txt").write_text(BEES)
    index(kb, folder)
    (folder / "a.txt").rename(folder / "b.txt")
    (folder / "a.txt").write_text(BEES)
    index(kb, folder)
    (folder / "a.txt").unlink()
    assert index(kb, folder).moved == [str(folder / "a.txt")]
    assert paths(kb) == [["b.txt"]]


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("insensitive", [False, True])
def test_a_name_in_another_case(
    kb: KnowledgeBase, folder: Path, monkeypatch: pytest.MonkeyPatch, insensitive: bool,
    changed: bool,
) -> None:  # fmt: skip
    (folder / "Readme.txt").write_text(BEES)
    index(kb, folder)
    id = only(kb).id
    (folder / "Readme.txt").unlink()
    (folder / "README.txt").write_text(TIDES if changed else BEES)
    if insensitive:  # a disk that finds the file under its earlier name as well
        monkeypatch.setattr("wavrag.kb.copies.is_deleted", lambda path: False)
    index(kb, folder)
    assert (only(kb).id, paths(kb)) == (id, [["README.txt"]])


@pytest.mark.parametrize(("first", "second"), [(NFC, NFD), (NFD, NFC)])
@pytest.mark.parametrize("changed", [False, True])
def test_unicode_forms_of_a_name_are_one_document(
    kb: KnowledgeBase, folder: Path, first: str, second: str, changed: bool
) -> None:
    (folder / first).write_text(BEES)
    index(kb, folder)
    id = only(kb).id
    assert (id, only(kb).source) == (str(folder / NFC), str(folder / first))
    for name in (NFC, NFD):
        assert kb.search(Query("bees", where=f"source = '{folder / name}'"))
        assert kb.search(Query("bees", where=f"id = '{folder / name}' and title = 'café'"))
    (folder / first).unlink()
    (folder / second).write_text(TIDES if changed else BEES)
    index(kb, folder)
    assert (only(kb).id, paths(kb)) == (id, [[second]])
    assert len(index(kb, folder / first).unchanged) == 1
    assert kb.remove_paths([folder / first]).removed == [id]
    assert kb.count() == 0


def test_a_copy_that_cannot_be_read_is_named(kb: KnowledgeBase, folder: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(" ")
    report = index(kb, folder)
    assert [Path(source).name for source, _ in report.skipped] == ["a.txt", "b.txt"]
    assert "b.txt" in report.skipped[1][1]


def test_documents_stored_twice_by_an_earlier_version_are_merged(
    kb: KnowledgeBase, folder: Path
) -> None:
    (folder / "a.txt").write_text(BEES)
    index(kb, folder)
    (folder / "a.txt").rename(folder / "b.txt")
    document = Document(str(folder / "b.txt"), text=BEES)
    kb.add([document])  # under the id of the file
    assert len(kb.documents()) == 2
    (folder / "a.txt").write_text(BEES)
    index(kb, folder)
    assert paths(kb) == [["a.txt", "b.txt"]]


def test_moved_replaced_and_deleted_files_are_named_and_relinked(
    kb: KnowledgeBase, folder: Path, tmp_path: Path
) -> None:
    (folder / "inner").mkdir()
    for name in ("moved.md", "replaced.txt", "deleted.txt", "stays.txt"):
        (folder / name).write_text(f"---\ntags: [a]\n---\n{name} has words of its own.")
    index(kb, folder)
    assert kb.check_sources() == []
    before = {r.passage.id: r.vector.tolist() for r in kb.scan()}
    outside = tmp_path / "archive"
    outside.mkdir()
    (folder / "moved.md").rename(outside / "new.md")
    (folder / "replaced.txt").write_text("Something else.")
    (folder / "deleted.txt").unlink()

    def states(changes: Sequence[SourceChange]) -> dict[str, tuple[str, str | None]]:
        return {Path(c.path).name: (c.state, c.found_at) for c in changes}

    unknown = {name: (name.removesuffix(".txt"), None) for name in ("deleted.txt", "replaced.txt")}
    assert states(kb.check_sources()) == {**unknown, "moved.md": ("deleted", None)}
    new = str(outside / "new.md")
    assert states(kb.relink([outside])) == {**unknown, "moved.md": ("moved", new)}
    assert {r.passage.id: r.vector.tolist() for r in kb.scan()} == before
    document = next(d for d in kb.documents() if d.id.endswith("moved.md"))
    assert (document.paths, document.title) == ((new,), "new")
    assert states(kb.relink()) == unknown
    # The content of a replaced file is found where it was moved to, also inside the folders.
    text = "---\ntags: [a]\n---\nreplaced.txt has words of its own."
    (folder / "inner" / "old.txt").write_text(text)
    old = str(folder / "inner" / "old.txt")
    assert states(kb.check_sources())["replaced.txt"] == ("replaced", old)
    kb.relink()
    assert len(index(kb, folder / "inner").unchanged) == 1
    assert states(kb.check_sources()) == {"deleted.txt": ("deleted", None)}


def test_a_missing_copy_is_dropped_when_relinking(kb: KnowledgeBase, folder: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(BEES)
    index(kb, folder)
    (folder / "a.txt").unlink()
    (change,) = kb.relink()
    assert (change.state, change.found_at) == ("deleted", str(folder / "b.txt"))
    assert paths(kb) == [["b.txt"]]
    assert kb.check_sources() == []


def test_the_command_line_names_and_relinks_moved_files(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--kb", str(tmp_path / "cli")]
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(BEES)
    assert main(["index", str(folder), *base, "--embedder", "fake"]) == 0
    assert "1 file added, 0 updated, 0 unchanged, 0 removed, 0 skipped, 1 copy" in (
        capsys.readouterr().out
    )
    assert main(["kb", "remove", str(folder / "b.txt"), *base]) == 0
    assert "kept" in capsys.readouterr().err
    (folder / "b.txt").unlink()
    (folder / "a.txt").rename(folder / "c.txt")
    assert main(["kb", "verify", *base]) == 0
    assert "moved: " in capsys.readouterr().err
    assert main(["kb", "relink", *base, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["relinked"] == [str(folder / "a.txt")]
    assert main(["kb", "remove", str(folder / "c.txt"), *base]) == 0
