"""Files of many kinds, made by the tests: documents with a word to search for, and others."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np

from audio_files import write

RECORDINGS = {
    "a.wav": "pcm_s16le", "b.flac": "flac", "c.mp3": "libmp3lame", "d.ogg": "flac",
    "e.opus": "libopus", "f.m4a": "aac", "g.mka": "flac", "h.avi": "pcm_s16le", "i.au": "pcm_s16be",
    "j.caf": "pcm_s16le", "k.w64": "pcm_s16le", "l.wma": "wmav2", "m.aiff": "pcm_s16be",
    "n.m4v": "aac", "o.ts": "aac", "p.mov": "aac",
}  # fmt: skip
SRT = (
    "1\n00:00:01,000 --> 00:00:03,500\n<i>{}</i>\n\n2\n00:00:04,000 --> 00:00:05,000\n- Ada: Yes.\n"
)
DOCUMENTS = {
    "txt": "{}", "log": "{}", "md": "# Title\n\n{}", "markdown": "{}", "html": "<p>{}</p>",
    "htm": "<p>{}</p>", "xhtml": "<?xml version='1.0'?><html><body><p>{}</p></body></html>",
    "csv": "route,fare\n{},4\n", "tsv": "route\tfare\n{}\t4\n", "srt": SRT,
    "vtt": "WEBVTT\n\n00:01.000 --> 00:03.000\n<v Ada>{}</v>\n",
    "ass": "[Script Info]\n[Events]\nFormat: Layer, Start, End, Name, Text\n"
    "Dialogue: 0,0:00:01.00,0:00:02.00,Ada,{{\\i1}}{}\\Nyes\n",
    "json": '{{"name": "x", "value": "{}"}}',
    "jsonl": '{{"value": "{}"}}\n{{"value": 2}}\n',
    "rst": "Title\n=====\n\n{}\n", "org": "* Title\n{}\n", "tex": "{}",
    "ipynb": '{{"nbformat": 4, "cells": [{{"cell_type": "markdown", "source": "{}"}}]}}',
    "eml": "From: Ada <a@b.c>\nSubject: Fares\nDate: Mon, 5 Jan 2026 10:00:00 +0000\n\n{}\n",
    "mbox": "From a@b Mon Jan  5 10:00:00 2026\nSubject: One\n\n{}\n\n"
    "From a@b Mon Jan  5 10:00:00 2026\nSubject: Two\n\n>From here on.\n",
    "rtf": "{{\\rtf1\\ansi {}\\par}}", "": "{}",
}  # fmt: skip
OTHERS = {
    "photo.png": b"\x89PNG\r\n\x1a\n" + bytes(40), "photo.jpg": b"\xff\xd8\xff\xe0" + bytes(40),
    "photo.gif": b"GIF89a" + bytes(40), "photo.webp": b"RIFF\x10\0\0\0WEBPVP8 " + bytes(20),
    "photo.heic": b"\0\0\0\x18ftypheic" + bytes(40), "scan.tiff": b"II*\0" + bytes(40),
    "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>", "program.py": b"print(1)\n",
    "style.css": b"p { color: red }\n", "tool.exe": b"MZ" + bytes(200),
    "base.sqlite": b"SQLite format 3\0",
    "font.woff2": b"wOF2" + bytes(40), "old.doc": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "book.mobi": bytes(60) + b"BOOKMOBI" + bytes(20), "data.gz": b"\x1f\x8b\x08" + bytes(20),
    "data.7z": b"7z\xbc\xaf\x27\x1c" + bytes(20), "raw.bin": np.random.default_rng(1).bytes(3_000),
}  # fmt: skip


def write_zip(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_odf(path: Path, kind: str, body: str) -> Path:
    names = {"office": "office", "text": "text", "table": "table", "draw": "drawing"}
    namespaces = " ".join(
        f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{long}:1.0"'
        for short, long in names.items()
    )
    content = (
        f"<office:document-content {namespaces}><office:body><office:{kind}>{body}"
        f"</office:{kind}></office:body></office:document-content>"
    )
    mimetype = f"application/vnd.oasis.opendocument.{kind}"
    return write_zip(path, {"mimetype": mimetype, "content.xml": content})


def write_epub(path: Path, chapters: list[str]) -> Path:
    names = [f"c{number}.xhtml" for number in range(len(chapters))]
    items = "".join(f'<item id="{name}" href="{name}"/>' for name in names)
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    package = (
        '<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>The book'
        f"</dc:title><dc:creator>Ada</dc:creator></metadata><manifest>{items}</manifest>"
        f"<spine>{spine}</spine></package>"
    )
    container = '<container><rootfiles><rootfile full-path="O/p.opf"/></rootfiles></container>'
    members = {"mimetype": "application/epub+zip", "META-INF/container.xml": container}
    members |= {"O/p.opf": package} | dict(
        zip((f"O/{name}" for name in names), chapters, strict=True)
    )
    return write_zip(path, members)


def write_office(path: Path, words: str) -> Path:
    """A docx, pptx or xlsx file with the words in a table."""
    if path.suffix == ".docx":
        import docx

        document = docx.Document()
        document.add_heading("Fares", 1)
        document.add_paragraph("Item", style="List Bullet")
        table = document.add_table(0, 3)
        for row in (("Route", "Day", "Night"), (words, "", "4.50")):
            for cell, value in zip(table.add_row().cells, row, strict=True):
                cell.text = value
        document.save(str(path))
    elif path.suffix == ".pptx":
        import pptx

        slides = pptx.Presentation()
        slide = slides.slides.add_slide(slides.slide_layouts[1])
        slide.shapes.title.text = "Fares"
        slide.placeholders[1].text_frame.text = words
        slide.notes_slide.notes_text_frame.text = "Say it slowly."
        slides.save(str(path))
    else:
        import openpyxl

        book = openpyxl.Workbook()
        sheet = book.active
        assert sheet is not None
        sheet.title = "Fares"
        for row in (["Route", "Day", "Night"], [words, None, 4.5]):
            sheet.append(row)
        sheet["C2"].number_format = "0.00"
        book.save(path)
    return path


def write_kinds(folder: Path) -> tuple[dict[str, str], list[str], list[str]]:
    """Write a file of each kind; return words by document, recordings, and other files."""
    words = {}
    for number, (suffix, template) in enumerate(DOCUMENTS.items()):
        name = f"document{number}.{suffix}".rstrip(".")
        words[name] = f"otter{number}word"
        (folder / name).write_text(template.format(words[name]))
    for suffix in ("docx", "pptx", "xlsx"):
        words[f"office.{suffix}"] = f"{suffix}otterword"
        write_office(folder / f"office.{suffix}", f"{suffix}otterword")
    words |= {"a.odt": "odtotterword", "a.odp": "odpotterword", "a.ods": "odsotterword"}
    write_odf(folder / "a.odt", "text", "<text:p>odtotterword</text:p>")
    write_odf(folder / "a.odp", "presentation",
              "<draw:page><text:p>odpotterword</text:p></draw:page>")  # fmt: skip
    row = "".join(f"<table:table-cell><text:p>{t}</text:p></table:table-cell>"
                  for t in ("odsotterword", "4"))  # fmt: skip
    write_odf(folder / "a.ods", "spreadsheet",
              f'<table:table table:name="S"><table:table-row>{row}</table:table-row>'
              "</table:table>")  # fmt: skip
    words["a.epub"] = "epubotterword"
    write_epub(folder / "a.epub", ["<html><body><p>epubotterword</p></body></html>"])
    words["whisper.json"] = "whisperotterword"
    segments = [{"start": 0.5, "end": 2.0, "text": " whisperotterword.", "speaker": "SPEAKER_00"}]
    (folder / "whisper.json").write_text(json.dumps({"text": "", "segments": segments}))
    sound = (0.1 * np.random.default_rng(0).normal(size=(1, 16_000))).astype(np.float32)
    for name, codec in RECORDINGS.items():
        rate = 48_000 if codec == "libopus" else 16_000
        write(folder / name, sound, rate, codec=codec)
    (folder / "voice memo").write_bytes((folder / "f.m4a").read_bytes())
    for name, data in OTHERS.items():
        (folder / name).write_bytes(data)
    write_zip(folder / "notes.zip", {"a.txt": "words"})
    write_zip(folder / "slides.key", {"Index/Document.iwa": "x"})
    with tarfile.open(folder / "notes.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    others = [*OTHERS, "notes.zip", "slides.key", "notes.tar"]
    return words, [*RECORDINGS, "voice memo"], others
