"""Documents that are read, indexed and written in pieces; the pieces are made very small."""

import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wavrag import KnowledgeBase, text
from wavrag.errors import DocumentError, StoreError
from wavrag.kb import Progress, find_files
from wavrag.text import ParsedText, detect_format, plain, split_pieces
from wavrag.text.document import join_pieces
from wavrag.types import NoteCallback, Passage

# The module, which the function of its name hides.
reader = importlib.import_module("wavrag.text.parsers")

PARAGRAPHS = "\n\n".join(
    f"Tide {n}\n\nThe ferry of day {n} waits for the tide. It costs {n} crowns.\r\nRow {n} of it."
    for n in range(40)
)
MAIL = "".join(
    f"From a@b Mon Jan  5 10:00:0{n} 2026\nFrom: Ada <a@b>\nSubject: Minutes {n}\n"
    "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n"
    f"--x\n\nThe harbour met on day {n}.\n--x\nContent-Type: application/pdf\n"
    f'Content-Disposition: attachment; filename="{n}.pdf"\n\nQUJD\n--x--\n\n'
    for n in range(9)
)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    # `document` last: the others take its value when they are first imported.
    for module in ("data", "markdown", "sheet", "document"):
        monkeypatch.setattr(f"wavrag.text.{module}.PIECE_CHARS", 200)
    monkeypatch.setattr(plain, "READ_CHARS", 7)


@pytest.fixture
def kb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KnowledgeBase]:
    """A knowledge base that keeps five passages of a document in memory."""
    monkeypatch.setattr("wavrag.kb.spool.MEMORY_PASSAGES", 5)
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        yield kb


def save(path: Path, content: str) -> Path:
    path.write_bytes(content.encode())
    return path


def parse_here(path: Path, on_note: NoteCallback | None = None) -> Iterator[ParsedText]:
    """Parse in this process, where the sizes of the tests apply."""
    format = detect_format(path, as_text=True)
    yield from reader.parse_pieces(path, format, name=str(path), on_note=on_note)


def passages(pieces: list[ParsedText]) -> list[Passage]:
    return list(split_pieces(pieces))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", PARAGRAPHS),
        ("a.txt", f"\n\n \n{PARAGRAPHS}\n\n".replace("\r", "").replace("\n", "\r")),
        ("a.mbox", MAIL),
        ("a.md", PARAGRAPHS.replace("Tide", "## Tide").replace("Row", "```\n# Row").lstrip("#")),
    ],
)
def test_passages_do_not_depend_on_the_pieces(
    tmp_path: Path, request: pytest.FixtureRequest, name: str, content: str
) -> None:
    path = save(tmp_path / name, content)
    whole = list(parse_here(path))
    request.getfixturevalue("small_pieces")
    notes: list[str] = []
    pieces = list(parse_here(path, on_note=notes.append))
    assert len(whole) == 1 < len(pieces)
    assert passages(pieces) == passages(whole)
    assert join_pieces(pieces) == whole[0] == text.read(path)
    assert {piece.title for piece in pieces} == {whole[0].title}
    if name == "a.mbox":
        (note,) = notes
        assert note.endswith("save them beside it: 0.pdf, 1.pdf, 2.pdf, 3.pdf, 4.pdf and 4 more")


@pytest.mark.usefixtures("small_pieces")
def test_every_row_of_a_long_table_has_its_labels(tmp_path: Path) -> None:
    rows = "".join(f"Route {n};{n}.50;\n" for n in range(60))
    path = save(tmp_path / "fares.csv", f"Harbour fares;;\nName;Fare;Note\nNight\n{rows}")
    pieces = list(parse_here(path))
    assert len(pieces) > 3
    lines = [line for piece in pieces for line in piece.text.split("\n") if line]
    assert lines == [
        f"Harbour fares | Night | Name: Route {n} | Fare: {n}.50 | Note: —" for n in range(60)
    ]


@pytest.mark.usefixtures("small_pieces")
def test_json_lines_in_pieces(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", "".join(f'{{"fare": {n}}}\r\n' for n in range(60)))
    pieces = list(parse_here(path))
    assert len(pieces) > 3
    assert "\n".join(piece.text.replace("\n\n", "\n") for piece in pieces) == "\n".join(
        f"fare: {n}" for n in range(60)
    )
    cues = [{"start": n, "end": n + 1, "text": f"Word {n} of the talk."} for n in range(60)]
    path = save(tmp_path / "b.jsonl", "\n".join(map(json.dumps, cues)))
    (parsed,) = parse_here(path)
    assert parsed.blocks[-1].times is not None
    assert parsed.blocks[-1].times[1] == 60


def test_a_text_without_empty_lines_is_cut_at_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain, "PARAGRAPH_CHARS", 200)
    monkeypatch.setattr(plain, "READ_CHARS", 64)
    lines = [f"12:{n:02} the pump {n} of the harbour runs" for n in range(60)]
    parsed = text.read(save(tmp_path / "pump.log", "\n".join(lines)))
    assert len(parsed.blocks) > 5
    assert parsed.text.split() == " ".join(lines).split()
    words = "tide " * 100
    assert text.read(save(tmp_path / "line.txt", words)).text.split() == words.split()
    assert len(text.read(save(tmp_path / "letters.txt", "x" * 1_000)).blocks) == 5


def test_encodings_are_found_far_into_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    ascii_lines = "The tide comes in.\n" * 8_000  # more than the head of the file
    path.write_bytes((ascii_lines + "Паром отходит в девять часов утра.\n" * 3).encode("cp1251"))
    notes: list[str] = []
    assert text.read(path, on_note=notes.append).text.endswith("Паром отходит в девять часов утра.")
    assert "Windows-1251" in notes[0]
    path.write_bytes((ascii_lines + "Паром отходит.").encode("utf-16"))
    assert text.read(path).text.endswith("Паром отходит.")
    path.write_bytes(ascii_lines.encode() + b"\x00\x01\x02" * 1_000)
    with pytest.raises(DocumentError, match="control characters"):
        text.read(path)


@pytest.mark.parametrize("suffix", ["html", "json", "pdf"])
def test_formats_that_are_read_at_once_have_a_limit(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_TEXT_BYTES", 1_000_000)
    monkeypatch.setattr(reader, "MAX_BINARY_BYTES", 1_000_000)
    path = save(tmp_path / f"a.{suffix}", "[1] " * 300_000)
    with pytest.raises(DocumentError, match=r"has 1 MB.* up to 1 MB: split it, or convert it"):
        list(parse_here(path))


def test_a_long_document_is_stored_and_replaced_whole(kb: KnowledgeBase, tmp_path: Path) -> None:
    path = save(tmp_path / "ferry.txt", PARAGRAPHS)
    other = save(tmp_path / "bees.txt", "Bees dance.")
    assert kb.add(find_files([path, other]).documents).passages == kb.count() == 41
    assert [passage.ordinal for passage in kb.passages(str(path))] == list(range(40))
    assert kb.search("the ferry of day 39", k=1)[0].passage.section == "Tide 39"
    files = sorted(os.listdir(kb.directory))
    save(path, PARAGRAPHS.partition("Tide 20")[0])
    report = kb.add(find_files([path, other]).documents)
    assert (report.updated, report.unchanged) == ([str(path)], [str(other)])
    assert kb.count() == report.passages + 1 == 21
    assert kb.verify() == []
    assert sorted(os.listdir(kb.directory)) == files


def test_an_error_at_the_end_of_a_long_document(kb: KnowledgeBase, tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", "".join(f'{{"fare": "{"x" * 400}{n}"}}\n' for n in range(9)))
    kb.add(find_files([path]).documents)
    before = kb.passages(str(path))
    save(path, path.read_text().replace("x", "y") + "{broken")
    report = kb.add(find_files([path]).documents)
    assert "line 10" in report.skipped[0][1]
    assert len(before) == 9
    assert kb.passages(str(path)) == before


def test_an_interrupt_in_a_long_document(kb: KnowledgeBase, tmp_path: Path) -> None:
    first = save(tmp_path / "a.txt", "Bees dance.")
    path = save(tmp_path / "b.txt", PARAGRAPHS)

    def stop(progress: Progress) -> None:
        if progress.passages == 35:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kb.add(find_files([first, path]).documents, on_progress=stop)
    assert [document.id for document in kb.documents()] == [str(first)]
    assert len(kb.add(find_files([first, path]).documents).added) == 1


def test_a_long_document_moves(
    kb: KnowledgeBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wavrag.kb.copies.BATCH_PASSAGES", 20)
    path = save(tmp_path / "ferry.txt", PARAGRAPHS)
    kb.add(find_files([path]).documents)
    moved = path.rename(tmp_path / "boat.txt")
    assert kb.add(find_files([moved]).documents).moved == [str(path)]
    (document,) = kb.documents()
    assert (document.source, document.title, document.passages) == (str(moved), "Tide 0", 40)
    assert kb.verify() == []


def test_a_full_disk_is_named(
    kb: KnowledgeBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wavrag.kb.spool.tempfile.TemporaryFile", full)
    with pytest.raises(StoreError, match="the disk is full"):
        kb.add(find_files([save(tmp_path / "a.txt", PARAGRAPHS)]).documents)
    assert kb.count() == 0
