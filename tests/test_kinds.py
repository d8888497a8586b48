"""Files of all kinds: each is searchable, or named with the reason."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from audio_files import frequency, tone, write
from file_kinds import SRT, write_epub, write_kinds, write_odf, write_office, write_zip
from serving import client, create_rag, serving
from wavrag import text
from wavrag.audio import load
from wavrag.cli import main
from wavrag.errors import DocumentError
from wavrag.kb import KnowledgeBase, find_files
from wavrag.types import Passage, Query


def passages(path: Path) -> list[Passage]:
    return text.split(text.read(path))


def test_every_file_of_sixty_kinds_is_searchable_or_named(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    words, recordings, others = write_kinds(folder)
    assert len(words) + len(recordings) + len(others) >= 60
    (folder / ".hidden").write_text("x")
    scan = find_files([folder])
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        report = kb.add(scan.documents)
        assert (scan.skipped, report.skipped) == ((), [])
        names = {Path(id).name for id in report.added}
        unread = {Path(path).name: group.reason for group in scan.unread for path in group.files}
        assert names == {*words, *recordings}
        assert set(unread) == set(others)
        for name, word in words.items():
            assert (
                Path(kb.search(Query(word, where="modality = 'text'"), 1)[0].passage.source).name
                == name
            )
        sounds = {Path(d.source).name for d in kb.documents() if d.modality == "audio"}
        assert sounds == set(recordings)
    assert unread["old.doc"].startswith("an older office format: save it")
    assert "--archives" in unread["notes.zip"]
    assert "iWork" in unread["slides.key"]
    assert "picture" in unread["photo.webp"]
    assert "--glob" in unread["program.py"]


def test_the_summary_and_json_name_the_kinds_that_were_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("a.txt", "a.py", "b.py", "c.png"):
        (folder / name).write_bytes(b"\x89PNG\r\n\x1a\n\0" if name == "c.png" else b"Words here.\n")
    kb = ["--kb", str(tmp_path / "kb"), "--embedder", "fake"]
    assert main(["index", str(folder), *kb]) == 0
    output = capsys.readouterr().out
    assert "3 files of kinds not read: .py 2, .png 1" in output
    assert ".py: text of an unknown kind: name the files, or give --glob" in output
    assert main(["index", str(folder), *kb, "--json"]) == 0
    unread = json.loads(capsys.readouterr().out)["unread"]
    assert [(group["kind"], len(group["files"])) for group in unread] == [(".png", 1), (".py", 2)]
    # Named files are read as text, or fail.
    assert main(["index", str(folder / "a.py"), *kb]) == 0
    assert main(["index", str(folder / "c.png"), *kb]) == 1
    assert "skipped" in capsys.readouterr().err


def test_office_formats_without_their_extra_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_office(tmp_path / "a.docx", "words")
    monkeypatch.setattr("wavrag.text.formats.find_spec", lambda name: None)
    (group,) = find_files([tmp_path]).unread
    assert (group.kind, group.reason) == (
        ".docx", "install wavrag[office] (pip install 'wavrag[office]')"
    )  # fmt: skip
    with pytest.raises(DocumentError, match="install wavrag"):
        text.read(tmp_path / "a.docx")


def test_pictures_archives_and_sound_under_other_names_are_no_text(tmp_path: Path) -> None:
    sound = (0.1 * np.random.default_rng(0).normal(size=(1, 8_000))).astype(np.float32)
    write(tmp_path / "a.mp3", sound, 16_000, codec="libmp3lame")
    (tmp_path / "song.txt").write_bytes((tmp_path / "a.mp3").read_bytes())
    (tmp_path / "picture.md").write_bytes(b"\x89PNG\r\n\x1a\n" + b"words " * 30)
    (tmp_path / "broken.mp3").write_bytes(b"ID3 only words are in here")
    scan = find_files([tmp_path])
    assert {Path(path).name for group in scan.unread for path in group.files} == {"picture.md"}
    with KnowledgeBase.open(tmp_path / ".kb", embedder="fake") as kb:
        report = kb.add(scan.documents)
        assert {Path(id).name for id in report.added} == {"a.mp3", "song.txt"}
        assert [Path(source).name for source, _ in report.skipped] == ["broken.mp3"]
        assert {document.modality for document in kb.documents()} == {"audio"}


def test_office_files_keep_headings_tables_pages_and_sheets(tmp_path: Path) -> None:
    document = passages(write_office(tmp_path / "a.docx", "Night bus"))[0]
    assert document.text == "- Item\n\nRoute: Night bus | Day: — | Night: 4.50"
    slide = passages(write_office(tmp_path / "a.pptx", "Night bus 4.50"))[0]
    assert (slide.page, slide.section, slide.text) == (
        1,
        "Fares",
        "Night bus 4.50\n\nSay it slowly.",
    )
    sheet = passages(write_office(tmp_path / "a.xlsx", "Night bus"))[0]
    assert (sheet.section, sheet.text) == ("Fares", "Route: Night bus | Day: — | Night: 4.50")


def test_a_word_document_without_relationships_is_read(tmp_path: Path) -> None:
    namespace = "http://schemas.openxmlformats.org"
    main = f"{namespace}/wordprocessingml/2006/main"
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    path = tmp_path / "minutes.docx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{namespace}/package/2006/content-types"><Override'
            f' PartName="/word/document.xml" ContentType="{kind}"/></Types>',
        )
        archive.writestr(
            "word/document.xml",
            f'<w:document xmlns:w="{main}"><w:body><w:p><w:r><w:t>The board met.</w:t></w:r></w:p>'
            "</w:body></w:document>",
        )
    assert text.read(path).text == "The board met."


def test_open_documents_keep_lists_slides_and_sheets(tmp_path: Path) -> None:
    body = (
        '<text:h text:outline-level="1">Fares</text:h><text:p>One<text:s/>two<text:tab/>three'
        "</text:p><text:list><text:list-item><text:p>Item</text:p></text:list-item></text:list>"
    )
    parsed = text.read(write_odf(tmp_path / "a.odt", "text", body))
    assert (parsed.title, parsed.text) == ("Fares", "Fares\n\nOne two three\n\n- Item")
    slides = "".join(f"<draw:page><text:p>Slide {n}</text:p></draw:page>" for n in (1, 2))
    pages = [p.page for p in passages(write_odf(tmp_path / "a.odp", "presentation", slides))]
    assert pages == [1, 2]
    rows = (
        "<table:table-row><table:table-cell><text:p>Route</text:p></table:table-cell>"
        "<table:table-cell><text:p>Day</text:p></table:table-cell><table:table-cell><text:p>Night"
        "</text:p></table:table-cell></table:table-row><table:table-row><table:table-cell><text:p>"
        'Bus</text:p></table:table-cell><table:table-cell table:number-columns-repeated="1"/>'
        "<table:table-cell><text:p>4</text:p></table:table-cell></table:table-row>"
    )
    sheet = f'<table:table table:name="Fares">{rows}</table:table>'
    passage = passages(write_odf(tmp_path / "a.ods", "spreadsheet", sheet))[0]
    assert (passage.section, passage.text) == ("Fares", "Route: Bus | Day: — | Night: 4")
    book = text.read(
        write_epub(tmp_path / "a.epub", ["<h1>One</h1><p>A.</p>", "<h1>Two</h1><p>B.</p>"])
    )
    assert (book.title, book.metadata["author"]) == ("The book", "Ada")
    assert book.text == "One\n\nA.\n\nTwo\n\nB."


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.srt", SRT.format("The ferry leaves at nine."),
         [("The ferry leaves at nine.", 1.0, 3.5, None), ("Yes.", 4.0, 5.0, "Ada")]),
        ("a.vtt", "WEBVTT\n\nNOTE x\n\nid1\n00:01.000 --> 00:02.000 align:left\n<v Ada>Bring &amp;"
         " <b>take</b>\n\nid2\n01:00:02.000 --> 01:00:03.000\nLater.\n",
         [("Bring & take", 1.0, 2.0, "Ada"), ("Later.", 3602.0, 3603.0, None)]),
        ("a.ass", "[Script Info]\n[Events]\nFormat: Layer, Start, End, Name, Text\nDialogue: 0,"
         "0:00:01.00,0:00:02.50,Ada,{\\i1}One, two\\Nthree{\\i0}\n",
         [("One, two three", 1.0, 2.5, "Ada")]),
        ("a.json", json.dumps({"segments": [
            {"start": 0.0, "end": 2.0, "text": " One.", "speaker": "SPEAKER_01"},
            {"start": 2.0, "end": 3.0, "text": " Two.", "speaker": "SPEAKER_01"},
            {"start": 3.0, "end": 4.0, "text": " Three.", "speaker": "SPEAKER_00"}]}),
         [("One. Two.", 0.0, 3.0, "SPEAKER_01"), ("Three.", 3.0, 4.0, "SPEAKER_00")]),
        ("b.json", json.dumps({"transcription": [
            {"offsets": {"from": 500, "to": 1500}, "text": " One."}]}), [("One.", 0.5, 1.5, None)]),
    ],
)  # fmt: skip
def test_transcripts_become_passages_with_times_and_speakers(
    tmp_path: Path, name: str, content: str, expected: list[tuple[str, float, float, str | None]]
) -> None:
    (tmp_path / name).write_text(content)
    result = [(p.text, p.start, p.end, p.speaker) for p in passages(tmp_path / name)]
    assert result == expected
    assert {p.modality for p in passages(tmp_path / name)} == {"text"}


def test_cues_merge_to_passages_that_end_with_sentences(tmp_path: Path) -> None:
    cues = [f"{n}\n00:00:{n:02},000 --> 00:00:{n + 1:02},000\nSentence {n} begins here\n"
            "and it ends.\n"
            for n in range(50)]  # fmt: skip
    (tmp_path / "a.srt").write_text("\n".join(cues))
    result = passages(tmp_path / "a.srt")
    assert all((p.text or "").endswith("ends.") and len(p.text or "") <= 700 for p in result)
    assert len(result) == 5
    assert (result[0].start, result[-1].end) == (0.0, 50.0)


def test_a_transcript_is_linked_to_the_recording_beside_it(tmp_path: Path) -> None:
    sound = (0.1 * np.random.default_rng(0).normal(size=(1, 8_000))).astype(np.float32)
    recording = write(tmp_path / "talk.mp3", sound, 16_000, codec="libmp3lame")
    (tmp_path / "talk.en.srt").write_text(SRT.format("The ferry leaves."))
    with KnowledgeBase.open(tmp_path / ".kb", embedder="fake") as kb:
        kb.add(find_files([tmp_path]).documents)
        passage = kb.search("ferry leaves", 1)[0].passage
        assert passage.recording == str(recording)
        assert (passage.location, passage.modality) == ("0:01.0-0:03.5", "text")


def test_mail_keeps_subject_fields_and_names_of_attachments(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_text(
        "From: Ada <a@b.c>\nTo: Bo <b@b.c>\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n"
        "Date: Mon, 5 Jan 2026 10:00:00 +0000\nMIME-Version: 1.0\n"
        "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/html\n\n"
        "<p>The fare is 4.50.</p>\n--x\nContent-Type: application/pdf\n"
        'Content-Disposition: attachment; filename="fares.pdf"\n\nx\n--x--\n'
    )
    notes: list[str] = []
    parsed = text.read(tmp_path / "a.eml", on_note=notes.append)
    assert (parsed.title, parsed.metadata["author"]) == ("Grüße", "Ada <a@b.c>")
    assert "The fare is 4.50." in parsed.text
    assert "Attachments: fares.pdf" in parsed.text
    assert "attachments are not read" in notes[0]
    mailbox = "From a@b Mon Jan  5 10:00:00 2026\nSubject: {}\n\nWords {}.\n>From there.\n\n"
    (tmp_path / "a.mbox").write_text("".join(mailbox.format(f"S{n}", n) for n in (1, 2)))
    sections = [(p.section, p.text) for p in passages(tmp_path / "a.mbox")]
    assert sections == [(f"S{n}", f"Words {n}.\nFrom there.") for n in (1, 2)]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "Route;Fare\nBus;4,50\n\"Tram; old\";\n",
         "Route: Bus | Fare: 4,50\nRoute: Tram; old | Fare: —"),
        ("b.csv", "1,2\n3,4\n", "1 | 2\n3 | 4"),
        ("a.json", '{"name": "Bus", "fares": [{"day": 4.5, "night": null}, {"day": 5}]}',
         "name: Bus\n\nfares\n\nday: 4.5\nday: 5"),
        ("a.jsonl", '{"a": 1, "b": {"c": [1, 2]}}\n{"a": 2}\n', "a: 1 | b c: 1, 2\na: 2"),
        ("a.ipynb", json.dumps({"cells": [
            {"cell_type": "markdown", "source": "# T"},
            {"cell_type": "code", "source": ["x = 1\n", "x"],
             "outputs": [{"data": {"text/plain": ["1"]}}]}]}), "T\n\nx = 1\nx\n\n1"),
        ("a.rst", "To\n==\n\nSee :ref:`fares <f>` and ``code``.\n\n.. note:: Be *early*.\n\n"
         ".. code-block:: sh\n\n   ls\n\n- a\n- b\n\n.. comment\n",
         "To\n\nSee fares and code.\n\nBe early.\n\nls\n\n- a\n- b"),
        ("a.org", "#+TITLE: Fares\n* TODO Bus :tag:\n:PROPERTIES:\n:ID: x\n:END:\nSee [[http://x][the"
         " list]].\n- a\n- b\n| Route | Day | Night |\n|---+---+---|\n| Bus | | 4 |\n"
         "#+BEGIN_SRC sh\nls\n#+END_SRC\n",
         "Bus\n\nSee the list.\n\n- a\n- b\n\nRoute: Bus | Day: — | Night: 4\n\nls"),
    ],
)  # fmt: skip
def test_tables_data_and_markup(tmp_path: Path, name: str, content: str, expected: str) -> None:
    (tmp_path / name).write_text(content)
    assert text.read(tmp_path / name).text == expected


def test_hostile_containers_are_refused(tmp_path: Path) -> None:
    write_zip(tmp_path / "bomb.odt", {
        "mimetype": "application/vnd.oasis.opendocument.text", "content.xml": "0" * (40 << 20),
    })  # fmt: skip
    with pytest.raises(DocumentError, match="unpacks to"):
        text.read(tmp_path / "bomb.odt")
    entities = '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'
    write_zip(tmp_path / "laughs.odt", {
        "mimetype": "application/vnd.oasis.opendocument.text", "content.xml": entities,
    })  # fmt: skip
    with pytest.raises(DocumentError, match="entities"):
        text.read(tmp_path / "laughs.odt")
    for name in ("a.docx", "a.pptx", "a.xlsx"):
        data = write_office(tmp_path / name, "x").read_bytes()
        (tmp_path / name).write_bytes(data[:-300])
        with pytest.raises(DocumentError, match=name):
            text.read(tmp_path / name)


def test_a_transcript_is_played_and_files_of_all_kinds_are_uploaded(tmp_path: Path) -> None:
    sound = np.concatenate([tone(hertz, 1, 16_000) for hertz in (300, 600, 900)])
    rag = create_rag(tmp_path)
    folder = tmp_path / "talks"
    folder.mkdir()
    write(folder / "talk.wav", sound[None], 16_000)
    (folder / "talk.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ada>Trams rest.</v>\n")
    rag.kb.add(find_files([folder]).documents)
    with serving(rag) as url, client(url) as http:
        where = {"q": "trams rest", "where": "modality = 'text'"}
        hit = http.get("/v1/search", params=where).json()["hits"][0]
        assert (hit["location"], hit["speaker"], hit["start"]) == ("0:01.0-0:02.0", "Ada", 1.0)
        audio = f"/v1/documents/{quote(hit['document_id'], safe='')}/audio"
        clip = load(io.BytesIO(http.get(audio, params={"start": 1, "end": 2}).content), 16_000)
        assert frequency(clip.samples, 16_000) == pytest.approx(600, abs=2)
        assert http.get(audio).content == (folder / "talk.wav").read_bytes()
        write_office(tmp_path / "fares.xlsx", "Night bus")
        names = {"fares.xlsx": 202, "broken.mp3": 415, "picture.txt": 415}
        (tmp_path / "broken.mp3").write_bytes(b"ID3 only words are in here")
        (tmp_path / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + b"words " * 30)
        for name, status in names.items():
            files = {"file": (name, (tmp_path / name).read_bytes())}
            assert http.post("/v1/documents?wait=30", files=files).status_code == status
        hit = http.get("/v1/search", params={"q": "night bus", "k": 1}).json()["hits"][0]
        assert hit["text"] == "Route: Night bus | Day: — | Night: 4.50"


def test_archives_are_read_on_request_with_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    sound = tone(300, 1, 16_000)[None]
    write(tmp_path / "talk.wav", sound, 16_000)
    inner = write_zip(tmp_path / "inner.zip", {"deep.txt": "A badger digs."})
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.write(tmp_path / "talk.wav", "talks/talk.wav")
        archive.write(inner, "inner.zip")
        archive.writestr("../../notes.txt", "An otter swims.")
        archive.writestr("__MACOSX/._x", "hidden")
        archive.writestr("x.png", b"\x89PNG\r\n\x1a\n\0")
    with tarfile.open(folder / "b.tgz", "w:gz") as tar:
        tar.add(tmp_path / "talk.wav", "same.wav")
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    directory = tmp_path / "kb"
    command = ["index", str(folder), "--kb", str(directory), "--embedder", "fake", "--archives"]
    assert main(command) == 0
    assert "1 file of kinds not read: .png 1" in capsys.readouterr().out
    with KnowledgeBase.open(directory) as kb:
        names = {document.id.removeprefix(str(folder)) for document in kb.documents()}
        assert names == {
            "/a.zip!/talks/talk.wav", "/a.zip!/inner.zip!/deep.txt", "/a.zip!/../../notes.txt",
            "/b.tgz!/same.wav",
        }  # fmt: skip
        deep = f"{folder}/a.zip!/inner.zip!/deep.txt"
        assert kb.search("badger digs", 1)[0].passage.source == deep
        clip = kb.load_clip(kb.passages(f"{folder}/a.zip!/talks/talk.wav")[0])
        assert frequency(clip.samples, clip.sample_rate) == pytest.approx(300, abs=2)
    assert main([*command, "--prune"]) == 0
    assert "0 files added, 0 updated, 4 unchanged, 0 removed" in capsys.readouterr().out
    monkeypatch.setattr("wavrag.kb.archives.MAX_MEMBERS", 1)
    with KnowledgeBase.open(directory) as kb:
        scan = kb.read_archives([f"{folder}/a.zip"])
        assert "has more than 1 members" in scan.skipped[0][1]
        write_zip(folder / "bomb.zip", {"bomb.txt": "0" * (70 << 20)})
        assert "times its size" in kb.read_archives([f"{folder}/bomb.zip"]).skipped[0][1]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.srt", b"no times"),
        ("a.csv", b'"\0\n\n'),
        ("a.eml", b"Date: Mon, 5 Jan 99999999999999 10:00:00 +0000\n\nwords\n"),
        ("a.odt", b"PK\x03\x04" + bytes(300) + b"PK\x05\x06" + b"\xff" * 18),
    ],
)
def test_damaged_files_are_read_or_refused(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    message, words = "", ""
    try:
        words = text.read(tmp_path / name).text
    except DocumentError as error:
        message = str(error)
    assert words or message.startswith(str(tmp_path / name))
